//! The items of a SELECT list: `*`, `t.*`, expressions, and the names of the latter.

use datafusion_sql::sqlparser::ast::{
    ExceptSelectItem, ExcludeSelectItem, Expr, Ident, SelectItem, SelectItemQualifiedWildcardKind, Spanned,
    WildcardAdditionalOptions,
};

use super::mistake::{Mistake, did_you_mean};
use super::parse::table_name;
use super::scope::Scope;

/// What an item of a SELECT list stands for.
pub enum Item<'a> {
    /// Columns of the scope, by their places.
    Columns(Vec<usize>),
    /// An expression, and its name.
    Expr(&'a Expr, String),
}

/// Reads one item; `None` after a mistake.
pub fn item<'a>(item: &'a SelectItem, scope: &Scope, mistakes: &mut Vec<Mistake>) -> Option<Item<'a>> {
    match item {
        SelectItem::UnnamedExpr(expr) => Some(Item::Expr(expr, name_of(expr))),
        SelectItem::ExprWithAlias { expr, alias } => Some(Item::Expr(expr, alias.value.clone())),
        SelectItem::Wildcard(options) => {
            let all = scope.own().filter(|&place| !scope.columns[place].merged);
            without_excluded(all.collect(), scope, options, mistakes)
        }
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
            let relation = table_name(name);
            if !scope.has_relation(&relation) {
                let message = format!("there is no table `{relation}` here");
                mistakes.push(Mistake::in_query(name.span(), message).help(did_you_mean(&relation, scope.relations())));
                return None;
            }
            let of_relation = |&place: &usize| scope.columns[place].relation.eq_ignore_ascii_case(&relation);
            without_excluded((0..scope.columns.len()).filter(of_relation).collect(), scope, options, mistakes)
        }
        other => {
            let mistake = Mistake::in_query(other.span(), "this can't stand in a SELECT list");
            mistakes.push(mistake.help("write an expression, `*` or `table.*`"));
            None
        }
    }
}

fn without_excluded<'a>(
    mut places: Vec<usize>,
    scope: &Scope,
    options: &WildcardAdditionalOptions,
    mistakes: &mut Vec<Mistake>,
) -> Option<Item<'a>> {
    if options.opt_ilike.is_some()
        || options.opt_replace.is_some()
        || options.opt_rename.is_some()
        || options.opt_alias.is_some()
    {
        let mistake = Mistake::in_query(options.wildcard_token.0.span, "`*` takes EXCLUDE or EXCEPT only");
        mistakes.push(mistake.help("name the columns one by one"));
        return None;
    }
    places.retain(|&place| !scope.columns[place].hidden);
    for excluded in excluded(options) {
        let before = places.len();
        places.retain(|&place| !scope.columns[place].name.eq_ignore_ascii_case(&excluded.value));
        if places.len() == before {
            let message = format!("there is no column `{}` to leave out", excluded.value);
            let help = did_you_mean(&excluded.value, scope.columns.iter().map(|column| column.name.as_str()));
            mistakes.push(Mistake::in_query(excluded.span, message).help(help));
        }
    }
    Some(Item::Columns(places))
}

fn excluded(options: &WildcardAdditionalOptions) -> Vec<Ident> {
    let mut names = Vec::new();
    let last =
        |name: &datafusion_sql::sqlparser::ast::ObjectName| name.0.last().and_then(|part| part.as_ident()).cloned();
    match &options.opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => names.extend(last(name)),
        Some(ExcludeSelectItem::Multiple(all)) => names.extend(all.iter().filter_map(last)),
        None => {}
    }
    if let Some(ExceptSelectItem { first_element, additional_elements }) = &options.opt_except {
        names.push(first_element.clone());
        names.extend(additional_elements.iter().cloned());
    }
    names
}

/// The output name of an expression without AS: its column's, or its text.
fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => name.value.clone(),
        Expr::CompoundIdentifier(parts) => parts.last().map(|part| part.value.clone()).unwrap_or_default(),
        Expr::Nested(inner) => name_of(inner),
        other => other.to_string(),
    }
}
