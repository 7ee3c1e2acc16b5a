//! `emission:`: when results come out (SEMANTICS 3).

use super::mistakes::Mistakes;
use super::pipeline::OnExpire;
use super::raw_pipeline::{EmissionType, RawEmission};

/// When results come out.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum EmissionRules {
    /// When they are formed.
    #[default]
    Immediate,
    /// When nothing is missing that is required.
    Smart {
        /// The output columns that may not be NULL: at least one.
        require: Vec<String>,
        /// How long a result waits for them, ms; the driving table's ttl where it isn't said.
        max_wait_ms: Option<i64>,
        /// What becomes of it then.
        on_expire: OnExpire,
    },
}

/// The rules that are written; what is a mistake stands at its default, and is not used.
pub(super) fn read(raw: RawEmission, mistakes: &mut Mistakes) -> EmissionRules {
    match raw.kind {
        Some(EmissionType::Smart) => smart(raw, mistakes),
        Some(EmissionType::Immediate) => refuse_smart_keys(&raw, mistakes),
        // Under a `type` that is a mistake itself the others are not worth a second one.
        None if mistakes.source().node(&["emission", "type"]).is_some() => EmissionRules::Immediate,
        None => refuse_smart_keys(&raw, mistakes),
    }
}

fn refuse_smart_keys(raw: &RawEmission, mistakes: &mut Mistakes) -> EmissionRules {
    for (key, there) in [
        ("require", raw.require.is_some()),
        ("max_wait", raw.max_wait.is_some()),
        ("on_expire", raw.on_expire.is_some()),
    ] {
        if there {
            let help = "write `type: smart` beside it, or leave it out: results come out when they are formed";
            let message = format!("`{key}` belongs to `type: smart`");
            mistakes.at_key(&["emission", key], message, Some(help.to_string()));
        }
    }
    EmissionRules::Immediate
}

fn smart(raw: RawEmission, mistakes: &mut Mistakes) -> EmissionRules {
    let help = || Some("name output columns that may not be NULL: `require: [name]`".to_string());
    match &raw.require {
        Some(names) if names.is_empty() => {
            mistakes.at(&["emission", "require"], "`require` names no column: there is nothing to wait for", help());
        }
        None if mistakes.source().node(&["emission", "require"]).is_none() => {
            mistakes.at(&["emission", "type"], "`type: smart` needs `require`, the columns to wait for", help());
        }
        _ => {}
    }
    let mut require: Vec<String> = Vec::new();
    for (index, name) in raw.require.into_iter().flatten().enumerate() {
        let Some(name) = name else { continue };
        if require.contains(&name) {
            let message = format!("`require` names `{name}` twice");
            mistakes.at(&["emission", "require", &index.to_string()], message, Some("keep one of them".to_string()));
        } else {
            require.push(name);
        }
    }
    if raw.max_wait.is_some_and(|wait| wait.0 == 0) {
        let help = "write `type: immediate` to wait for nothing, or leave it out to wait for the driving table's ttl";
        mistakes.at(&["emission", "max_wait"], "`max_wait` can't be zero", Some(help.to_string()));
    }
    EmissionRules::Smart {
        require,
        max_wait_ms: raw.max_wait.map(|wait| wait.0),
        on_expire: raw.on_expire.unwrap_or(OnExpire::Drop),
    }
}
