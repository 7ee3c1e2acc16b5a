//! SQL text to syntax tree, and the refusal of every clause whose answer would depend on where a batch ends.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    Expr, GroupByExpr, LimitClause, ObjectName, Query, Select, SetExpr, Spanned, Statement, TableFactor, Visit, Visitor,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;
use datafusion_sql::sqlparser::tokenizer::{Location, Span, Token};

use super::mistake::Mistake;
use super::tokens::Tokens;

/// How deep expressions and sub-selects may nest.
const NESTING_MAX: usize = 100;

/// Parses the one SELECT of a pipeline.
///
/// # Errors
/// With the mistake's place, if `sql` is anything else.
pub fn parse(sql: &str) -> Result<Query, Mistake> {
    let mut parser = Parser::new(&GenericDialect {})
        .with_recursion_limit(NESTING_MAX)
        .try_with_sql(sql)
        .map_err(|error| syntax_mistake(&error.to_string(), Span::empty()))?;
    let statements = match parser.parse_statements() {
        Ok(statements) => statements,
        Err(error) => {
            let next = parser.peek_token();
            let place = if next.token == Token::EOF { Tokens::of(sql).last() } else { next.span };
            return Err(syntax_mistake(&error.to_string(), place));
        }
    };
    let mut statements = statements.into_iter();
    let first = statements.next();
    if let Some(second) = statements.next() {
        let mistake = Mistake::in_query(second.span(), "a pipeline is one query, and this is a second statement");
        return Err(mistake.help("put it into a pipeline of its own"));
    }
    match first {
        Some(Statement::Query(query)) => Ok(*query),
        Some(other) => {
            let text = other.to_string();
            let verb = text.split_whitespace().next().unwrap_or_default().to_string();
            let mistake = Mistake::in_query(other.span(), format!("a pipeline's query is a SELECT, not {verb}"));
            Err(mistake.help("write SELECT … FROM the event table, with its joins"))
        }
        None => Err(Mistake::in_query(Span::empty(), "the query is empty").help("write SELECT … FROM …")),
    }
}

/// The parser says where in words, "… at Line: 2, Column: 7", or not at all: then it is where it stopped reading.
fn syntax_mistake(text: &str, stopped: Span) -> Mistake {
    let text = text.trim_start_matches("sql parser error: ");
    let (message, place) = match text.rsplit_once(" at Line: ") {
        Some((message, place)) => (message, place.split_once(", Column: ")),
        None => (text, None),
    };
    let location =
        place.and_then(|(line, column)| Some(Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?)));
    let span = location.map_or(stopped, |at| Span::new(at, at));
    if message.contains("recursion limit") {
        let message = format!("the query nests deeper than {NESTING_MAX} levels");
        return Mistake::in_query(span, message).help("split it: a CTE for each step");
    }
    let said = lower_first(message).replace("expected: ", "expected ").replace("found: ", "found ");
    Mistake::in_query(span, format!("this is not SQL: {}", said.replace("found EOF", "found the end of the query")))
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// The SELECT of a query without any clause that is refused; mistakes go to `mistakes`.
pub fn plain_select<'a>(query: &'a Query, tokens: &Tokens, mistakes: &mut Vec<Mistake>) -> Option<&'a Select> {
    let mut refuse = |span: Span, message: &str, help: &str| {
        mistakes.push(Mistake::in_query(span, message).help(help));
    };
    if let Some(order_by) = &query.order_by {
        let place = tokens.words_since("ORDER", order_by.span());
        refuse(place, "ORDER BY needs all rows at once, and a stream never ends", ORDER_HELP);
    }
    let count_help = "remove it, or choose rows with WHERE";
    if let Some(limit) = &query.limit_clause {
        let place = tokens.words_since(if limit_is_offset(limit) { "OFFSET" } else { "LIMIT" }, limit.span());
        refuse(place, "LIMIT and OFFSET count the rows of a result that ends, and a stream never ends", count_help);
    }
    if query.fetch.is_some() {
        let place = tokens.last_of(&["FETCH"]);
        refuse(place, "FETCH counts the rows of a result that ends, and a stream never ends", count_help);
    }
    if !query.locks.is_empty()
        || query.for_clause.is_some()
        || query.settings.is_some()
        || query.format_clause.is_some()
        || !query.pipe_operators.is_empty()
    {
        let place = tokens.last_of(&["FOR", "SETTINGS", "FORMAT"]);
        refuse(place, "FOR, SETTINGS, FORMAT and |> have no meaning here", "end the query after WHERE");
    }
    match query.body.as_ref() {
        SetExpr::Select(select) => {
            refuse_clauses(select, tokens, mistakes);
            Some(select)
        }
        SetExpr::Query(inner) if query.with.is_none() => plain_select(inner, tokens, mistakes),
        SetExpr::SetOperation { op, left, .. } => {
            let place = tokens.word_from(left.span().end, &op.to_string());
            let mistake = Mistake::in_query(place, format!("{op} of two queries is not supported"));
            mistakes.push(mistake.help("write a pipeline for each; both may have the same output topic"));
            None
        }
        other => {
            let mistake = Mistake::in_query(other.span(), "only SELECT … FROM … can be run as a pipeline");
            mistakes.push(mistake.help("read from a topic"));
            None
        }
    }
}

const ORDER_HELP: &str = "remove it: rows with equal keys leave in the order of their events";

fn limit_is_offset(limit: &LimitClause) -> bool {
    matches!(limit, LimitClause::LimitOffset { limit: None, .. })
}

fn refuse_clauses(select: &Select, tokens: &Tokens, mistakes: &mut Vec<Mistake>) {
    let start = select.select_token.0.span;
    let mut refuse = |found: bool, word: &str, span: Option<Span>, what: &str, help: &str| {
        if found {
            let place = match span {
                Some(span) if span != Span::empty() => tokens.words_since(word, span),
                _ => tokens.word_from(start.start, word),
            };
            let place = if place == Span::empty() { start } else { place };
            mistakes.push(Mistake::in_query(place, what).help(help));
        }
    };
    let group_by = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(expressions, modifiers) => !expressions.is_empty() || !modifiers.is_empty(),
    };
    let aggregate_help = "a pipeline enriches row by row; aggregate what comes out of it";
    let distinct_help = "remove it, or key the output topic and let compaction keep the last row of each key";
    refuse(
        select.distinct.is_some(),
        "DISTINCT",
        None,
        "DISTINCT would have to remember every row that ever came out",
        distinct_help,
    );
    let place = Some(select.group_by.span());
    refuse(
        group_by,
        "GROUP",
        place,
        "GROUP BY would give what happens to be in a batch, not the whole",
        aggregate_help,
    );
    let place = select.having.as_ref().map(Spanned::span);
    refuse(place.is_some(), "HAVING", place, "HAVING asks of groups, and a stream has none that end", "use WHERE");
    let place = select.qualify.as_ref().map(Spanned::span);
    refuse(place.is_some(), "QUALIFY", place, "QUALIFY asks of windows, and a stream has none that end", "use WHERE");
    let windows = !select.named_window.is_empty();
    refuse(windows, "WINDOW", None, "WINDOW would give what happens to be in a batch, not the whole", aggregate_help);
    let top = "TOP counts the rows of a result that ends, and a stream never ends";
    refuse(select.top.is_some(), "TOP", None, top, "remove it, or choose rows with WHERE");
    refuse(select.into.is_some(), "INTO", None, "SELECT INTO has no meaning here", "name the topic under `output`");
    refuse(
        !select.lateral_views.is_empty()
            || select.prewhere.is_some()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || select.exclude.is_some()
            || select.value_table_mode.is_some(),
        "SELECT",
        None,
        "this SELECT has a clause that is not supported",
        "a query is SELECT … FROM … [LEFT] JOIN … ON … WHERE …",
    );
}

/// A table's name as it is written: its parts, with dots.
pub fn table_name(name: &ObjectName) -> String {
    let parts: Vec<_> = name
        .0
        .iter()
        .map(|part| part.as_ident().map_or_else(|| part.to_string(), |ident| ident.value.clone()))
        .collect();
    parts.join(".")
}

/// The tables that a query reads, CTEs left out, one that is called like its own table too; what to sample before planning.
pub fn tables_of(query: &Query) -> BTreeSet<String> {
    let mut tables = Tables::default();
    let _ = query.visit(&mut tables);
    tables.read
}

/// Tables, and the CTEs in sight: one is in sight behind its end.
#[derive(Default)]
struct Tables {
    read: BTreeSet<String>,
    /// Of each query around the place, its own CTEs.
    queries: Vec<Ctes>,
}

#[derive(Default)]
struct Ctes {
    /// The queries of its CTEs, known by where they are, and their names.
    all: Vec<(*const Query, String)>,
    in_sight: BTreeSet<String>,
}

impl Visitor for Tables {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        let all = ctes.map(|cte| (&raw const *cte.query, cte.alias.name.value.clone())).collect();
        self.queries.push(Ctes { all, in_sight: BTreeSet::new() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.queries.pop();
        if let Some(around) = self.queries.last_mut() {
            let ended = around.all.iter().find(|(cte, _)| std::ptr::eq(*cte, query));
            around.in_sight.extend(ended.map(|(_, name)| name.clone()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, .. } = factor {
            let name = table_name(name);
            if !self.queries.iter().any(|query| query.in_sight.contains(&name)) {
                self.read.insert(name);
            }
        }
        ControlFlow::Continue(())
    }
}

/// The conditions that AND combines.
pub fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    use datafusion_sql::sqlparser::ast::BinaryOperator;
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            let mut all = conjuncts(left);
            all.extend(conjuncts(right));
            all
        }
        Expr::Nested(inner) if matches!(inner.as_ref(), Expr::BinaryOp { op: BinaryOperator::And, .. }) => {
            conjuncts(inner)
        }
        other => vec![other],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(sql: &str) -> Vec<String> {
        let query = match parse(sql) {
            Ok(query) => query,
            Err(mistake) => return vec![mistake.message],
        };
        let mut mistakes = Vec::new();
        plain_select(&query, &Tokens::of(sql), &mut mistakes);
        mistakes.into_iter().map(|mistake| mistake.message).collect()
    }

    #[test]
    fn a_plain_select_is_accepted() {
        assert_eq!(mistakes("SELECT a FROM t LEFT JOIN u ON t.a = u.a WHERE b > 1"), Vec::<String>::new());
    }

    #[test]
    fn clauses_over_many_rows_are_refused() {
        for (sql, word) in [
            ("SELECT DISTINCT a FROM t", "DISTINCT"),
            ("SELECT a FROM t GROUP BY a", "GROUP BY"),
            ("SELECT a FROM t ORDER BY a", "ORDER BY"),
            ("SELECT a FROM t LIMIT 1", "LIMIT"),
            ("SELECT a FROM t UNION ALL SELECT a FROM u", "UNION"),
            ("SELECT a FROM t HAVING a > 1", "HAVING"),
            ("INSERT INTO t VALUES (1)", "INSERT"),
            ("SET x = 1", "SET"),
            ("SELECT 1; SELECT 2", "second statement"),
            ("", "empty"),
        ] {
            let found = mistakes(sql);
            assert!(found.iter().any(|message| message.contains(word)), "{sql}: {found:?}");
        }
    }

    #[test]
    fn a_syntax_mistake_has_its_place() {
        let mistake = parse("SELECT a\nFROM t WHRE x").expect_err("not SQL");
        assert_eq!(mistake.place, super::super::Place::Query(Span::new(Location::new(2, 13), Location::new(2, 13))));
    }

    #[test]
    fn deep_nesting_is_a_mistake_and_no_crash() {
        let sql = format!("SELECT {}1{} FROM t", "(".repeat(10_000), ")".repeat(10_000));
        assert!(parse(&sql).is_err());
    }

    #[test]
    fn a_cte_may_be_called_like_its_table() {
        for (sql, expected) in [
            ("WITH a AS (SELECT * FROM a WHERE x) SELECT * FROM a", "a"),
            ("WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM b JOIN a ON 1 = 1", "b"),
            ("SELECT * FROM (WITH a AS (SELECT * FROM c) SELECT * FROM a) x JOIN a ON 1 = 1", "a c"),
            ("SELECT * FROM a WHERE k IN (SELECT k FROM b) AND EXISTS (SELECT 1 FROM c)", "a b c"),
        ] {
            let query = parse(sql).expect("SQL");
            assert_eq!(tables_of(&query).into_iter().collect::<Vec<_>>().join(" "), expected, "{sql}");
        }
    }

    #[test]
    fn tables_are_those_that_are_no_ctes() {
        let query =
            parse("WITH x AS (SELECT * FROM a) SELECT * FROM x JOIN (SELECT * FROM b.c) y ON 1 = 1").expect("SQL");
        assert_eq!(tables_of(&query).into_iter().collect::<Vec<_>>(), ["a", "b.c"]);
    }
}
