//! The words of a query and their places. The places in the syntax tree leave out most keywords and what closes a
//! parenthesis; a mistake is shown with both.

use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

/// What stands before the parenthesis of a call that the syntax tree does not count as a function.
const CALLS: [&str; 9] = ["CAST", "TRY_CAST", "EXTRACT", "SUBSTRING", "TRIM", "CEIL", "FLOOR", "POSITION", "EXISTS"];

/// The tokens of a query, white space and comments left out.
#[derive(Debug, Default)]
pub struct Tokens {
    tokens: Vec<TokenWithSpan>,
}

impl Tokens {
    /// The tokens of `sql`; none of what can't be read.
    pub fn of(sql: &str) -> Self {
        let mut tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap_or_default();
        tokens.retain(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
        Self { tokens }
    }

    /// The place of the last token.
    pub fn last(&self) -> Span {
        self.tokens.last().map_or(Span::empty(), |token| token.span)
    }

    /// An expression with what opens and closes it: `CAST(` before it, `)` behind it.
    pub fn whole(&self, span: Span) -> Span {
        let mut start = span.start;
        while let [.., call, parenthesis] = self.before(start)
            && parenthesis.token == Token::LParen
            && CALLS.iter().any(|name| is_word(call, name))
        {
            start = call.span.start;
        }
        self.closed(Span::new(start, span.end))
    }

    /// `span` to the end of the parentheses that are opened in it.
    pub fn closed(&self, span: Span) -> Span {
        let mut open = 0_usize;
        let mut end = span.end;
        for token in self.tokens.iter().filter(|token| token.span.start >= span.start) {
            let behind = token.span.start >= span.end;
            if behind && open == 0 {
                break;
            }
            match token.token {
                Token::LParen | Token::LBracket => open += 1,
                Token::RParen | Token::RBracket => open = open.saturating_sub(1),
                _ => {}
            }
            if behind {
                end = token.span.end;
            }
        }
        if span == Span::empty() { span } else { Span::new(span.start, end) }
    }

    /// A sub-select with the parentheses around it.
    pub fn parenthesized(&self, span: Span) -> Span {
        match self.before(span.start).last() {
            Some(token) if token.token == Token::LParen => self.closed(Span::new(token.span.start, span.end)),
            _ => span,
        }
    }

    /// The words among `words` that stand right before `span`; without any, `span` itself.
    pub fn words_before(&self, span: Span, words: &[&str]) -> Span {
        let found = self.before(span.start).iter().rev();
        let found = found.take_while(|token| words.iter().any(|word| is_word(token, word))).map(|token| token.span);
        found.reduce(|later, earlier| Span::new(earlier.start, later.end)).unwrap_or(span)
    }

    /// From the last `word` before `span` to the end of `span`.
    pub fn words_since(&self, word: &str, span: Span) -> Span {
        let found = self.before(span.start).iter().rev().find(|token| is_word(token, word));
        found.map_or(span, |token| Span::new(token.span.start, span.end))
    }

    /// The first `word` that does not stand before `at`.
    pub fn word_from(&self, at: Location, word: &str) -> Span {
        let found = self.tokens.iter().find(|token| token.span.start >= at && is_word(token, word));
        found.map_or(Span::empty(), |token| token.span)
    }

    /// The last of any of `words` in the query.
    pub fn last_of(&self, words: &[&str]) -> Span {
        let found = self.tokens.iter().rev().find(|token| words.iter().any(|word| is_word(token, word)));
        found.map_or(Span::empty(), |token| token.span)
    }

    fn before(&self, at: Location) -> &[TokenWithSpan] {
        &self.tokens[..self.tokens.partition_point(|token| token.span.start < at)]
    }
}

fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(written) if written.quote_style.is_none() && written.value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The span of `part` in `sql`, which is one line.
    fn span_of(sql: &str, part: &str) -> Span {
        let start = sql.find(part).expect("a part of the text") as u64 + 1;
        Span::new(Location::new(1, start), Location::new(1, start + part.len() as u64))
    }

    #[test]
    fn places_grow_to_what_a_person_would_underline() {
        let sql = "SELECT CAST(f(a, (b)) AS x), c FROM t LEFT OUTER JOIN (SELECT d) ORDER BY e";
        let tokens = Tokens::of(sql);
        let place = |part: &str| span_of(sql, part);
        assert_eq!(tokens.whole(place("f(a, (b")), place("CAST(f(a, (b)) AS x)"));
        assert_eq!(tokens.closed(place("f(a, (b")), place("f(a, (b))"));
        assert_eq!(tokens.whole(place("c FROM")), place("c FROM"));
        assert_eq!(tokens.parenthesized(place("SELECT d")), place("(SELECT d)"));
        assert_eq!(tokens.words_before(place("(SELECT d"), &["LEFT", "OUTER", "JOIN"]), place("LEFT OUTER JOIN"));
        assert_eq!(tokens.words_before(place("t LEFT"), &["JOIN"]), place("t LEFT"));
        assert_eq!(tokens.words_since("order", span_of(sql, "e").union(&place("BY e"))), place("ORDER BY e"));
        assert_eq!(tokens.word_from(place("c FROM").start, "left"), place("LEFT"));
        assert_eq!(
            tokens.last(),
            Span::new(Location::new(1, sql.len() as u64), Location::new(1, sql.len() as u64 + 1))
        );
        assert_eq!(tokens.closed(Span::empty()), Span::empty());
    }
}
