//! What is wrong with a pipeline's SQL, and where.

use datafusion_sql::sqlparser::tokenizer::Span;

/// A mistake that planning found.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// Where it is.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// A place in a pipeline's YAML file.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// In the text of `query`; an empty span means the query as a whole.
    Query(Span),
    /// At the value of a key, by its path.
    Value(Vec<String>),
    /// At a key itself, by its path.
    Key(Vec<String>),
}

impl Mistake {
    /// A mistake in the text of `query`.
    pub fn in_query(span: Span, message: impl Into<String>) -> Self {
        Self { place: Place::Query(span), message: message.into(), help: None }
    }

    /// A mistake in the value at `path`.
    pub fn at(path: &[&str], message: impl Into<String>) -> Self {
        let path = path.iter().map(|part| part.to_string()).collect();
        Self { place: Place::Value(path), message: message.into(), help: None }
    }

    /// A mistake in the last key of `path`.
    pub fn at_key(path: &[&str], message: impl Into<String>) -> Self {
        let path = path.iter().map(|part| part.to_string()).collect();
        Self { place: Place::Key(path), message: message.into(), help: None }
    }

    /// Adds what to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Of `known` names the one that was probably meant by `name`, if one is near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(name.len()) / 4)
        // Of very short names every other is near.
        .filter(|(distance, candidate)| 2 * distance <= candidate.len().max(name.len()))
        .min()
        .map(|(_, candidate)| candidate)
}

/// `help` text for a wrong name.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let all: Vec<_> = known.into_iter().take(40).collect();
            if all.is_empty() { "there are none here".into() } else { format!("there are: {}", all.join(", ")) }
        }
    }
}
