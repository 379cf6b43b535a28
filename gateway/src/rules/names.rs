//! What an expression stands on: names, functions, patterns; and how much it does.

use std::ops::Range;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};
use cel::{Context, ExecutionError, Program};

use super::flaw::Flaw;
use crate::config::nearest;

/// Functions and macros of CEL, for suggestions.
const FUNCTIONS: &[&str] = &[
    "all",
    "bool",
    "bytes",
    "contains",
    "double",
    "endsWith",
    "exists",
    "exists_one",
    "filter",
    "has",
    "int",
    "map",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];

/// Where a part of an expression stands; of a call, that is its bracket or operator.
fn bytes_of(program: &Program, id: u64) -> Option<Range<usize>> {
    let (first, last) = program.source_info().offset_for(id)?;
    Some(first as usize..last as usize + 1)
}

/// Where `name` stands first.
pub(super) fn first_place_of(program: &Program, name: &str) -> Option<Range<usize>> {
    let mut places = Vec::new();
    visit(program.expression(), &mut |part| {
        if matches!(&part.expr, Expr::Ident(found) if found == name) {
            places.extend(bytes_of(program, part.id));
        }
    });
    places.into_iter().min_by_key(|place| place.start)
}

/// Names that are neither one of `known` nor bound by the expression itself, as `x` in `list.exists(x, x > 1)`; and
/// functions that do not exist. In their order, each once.
pub(super) fn unknown(
    program: &Program,
    text: &str,
    known: &[&str],
    root: &Context<'_, '_>,
) -> Vec<Flaw> {
    let variables = unknown_variables(program, known);
    let mut flaws: Vec<Flaw> = unknown_functions(program, root, &variables)
        .into_iter()
        .map(|name| {
            let meant = place_of_call(program, text, &name);
            let hint = suggestion(nearest(&name, FUNCTIONS.iter().copied()));
            Flaw::at(meant, format!("unknown function `{name}`{hint}"))
        })
        .collect();
    flaws.extend(variables.into_iter().map(|name| {
        let meant = first_place_of(program, &name);
        let hint = match nearest(&name, known.iter().copied()) {
            None => "; known are ".to_owned(),
            meant => suggestion(meant) + " Known are ",
        };
        Flaw::at(
            meant,
            format!("unknown name `{name}`{hint}{}", known.join(", ")),
        )
    }));
    flaws.sort_by_key(|flaw| flaw.meant.as_ref().map(|meant| meant.start));
    flaws
}

fn suggestion(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |meant| format!(", did you mean `{meant}`?"))
}

fn unknown_variables(program: &Program, known: &[&str]) -> Vec<String> {
    let mut bound = Vec::new();
    visit(program.expression(), &mut |part| {
        if let Expr::Comprehension(inner) = &part.expr {
            bound.extend([&inner.iter_var, &inner.accu_var]);
            bound.extend(&inner.iter_var2);
        }
    });
    let references = program.references();
    let is_unknown =
        |name: &&str| !known.contains(name) && !bound.iter().any(|bound| bound == name);
    let unknown = references.variables().into_iter().filter(is_unknown);
    unknown.map(str::to_owned).collect()
}

/// Those of `unknown` names are left out: one fault is enough. References list operators too, by names that are no
/// identifiers.
fn unknown_functions(program: &Program, root: &Context<'_, '_>, unknown: &[String]) -> Vec<String> {
    let is_missing = |call: String| {
        let outcome = Program::compile(&call).map(|call| call.execute(root));
        matches!(outcome, Ok(Err(ExecutionError::UndeclaredReference(_))))
    };
    let mut of_unknown = Vec::new();
    visit(program.expression(), &mut |part| {
        if let Expr::Call(call) = &part.expr
            && let Some(Expr::Ident(name)) = call.target.as_ref().map(|target| &target.expr)
            && unknown.contains(name)
        {
            of_unknown.push(call.func_name.as_str());
        }
    });
    let references = program.references();
    let unknown = references.functions().into_iter().filter(|name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && !of_unknown.contains(name)
            && is_missing(format!("{name}()"))
            && is_missing(format!("''.{name}()"))
    });
    unknown.map(str::to_owned).collect()
}

/// The name that stands before the bracket of the first call of it.
fn place_of_call(program: &Program, text: &str, name: &str) -> Option<Range<usize>> {
    let mut places = Vec::new();
    visit(program.expression(), &mut |part| {
        if matches!(&part.expr, Expr::Call(call) if call.func_name == name) {
            places.extend(bytes_of(program, part.id));
        }
    });
    let bracket = places.into_iter().map(|place| place.start).min()?;
    let before = text.get(..bracket)?.trim_end();
    before
        .ends_with(name)
        .then(|| before.len() - name.len()..before.len())
}

/// Patterns of `matches` that are none, or are too large.
pub(super) fn bad_patterns(program: &Program, root: &Context<'_, '_>) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    visit(program.expression(), &mut |part| {
        let Expr::Call(call) = &part.expr else { return };
        let pattern = match (&*call.func_name, &call.target, &*call.args) {
            ("matches", Some(_), [pattern]) | ("matches", None, [_, pattern]) => pattern,
            _ => return,
        };
        if let Expr::Literal(LiteralValue::String(text)) = &pattern.expr
            && let Err(error) = try_pattern(text.inner(), root)
        {
            flaws.push(Flaw::at(bytes_of(program, pattern.id), error));
        }
    });
    flaws
}

fn try_pattern(pattern: &str, root: &Context<'_, '_>) -> Result<(), String> {
    let mut context = root.new_inner_scope();
    context.add_variable_from_value("pattern", pattern);
    let program = Program::compile("''.matches(pattern)").map_err(|error| error.to_string())?;
    match program.execute(&context) {
        Ok(_) => Ok(()),
        Err(error) => {
            // It draws the pattern and a mark of its own; what is wrong stands in the last line.
            let error = error.to_string();
            let last = error.lines().next_back().unwrap_or_default();
            let reason = last.strip_prefix("error: ").unwrap_or(last);
            Err(format!("is no pattern: {reason}"))
        }
    }
}

/// How much an expression does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Extent {
    /// Its parts.
    nodes: usize,
    /// Loops (`all`, `exists`, `map`, …) within each other.
    pub(super) depth: u32,
}

impl Extent {
    pub(super) fn of(expression: &IdedExpr) -> Self {
        let mut nodes = 0;
        visit(expression, &mut |_| nodes += 1);
        Self {
            nodes,
            depth: depth(expression),
        }
    }

    /// The most steps that it takes when what it loops over has so many elements and bytes.
    pub(super) fn steps(self, elements: usize, bytes: usize) -> usize {
        // A list may also stand in the expression itself.
        let rounds = elements.max(self.nodes).saturating_pow(self.depth);
        (self.nodes + bytes).saturating_mul(rounds)
    }
}

fn depth(expression: &IdedExpr) -> u32 {
    let mut inner = 0;
    for_each_part(expression, &mut |part| inner = inner.max(depth(part)));
    inner + u32::from(matches!(expression.expr, Expr::Comprehension(_)))
}

fn visit<'e>(expression: &'e IdedExpr, see: &mut impl FnMut(&'e IdedExpr)) {
    see(expression);
    let mut parts = Vec::new();
    for_each_part(expression, &mut |part| parts.push(part));
    for part in parts {
        visit(part, see);
    }
}

fn for_each_part<'e>(expression: &'e IdedExpr, see: &mut impl FnMut(&'e IdedExpr)) {
    match &expression.expr {
        Expr::Call(call) => call
            .target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .for_each(see),
        Expr::Comprehension(inner) => {
            let parts = [
                &inner.iter_range,
                &inner.accu_init,
                &inner.loop_cond,
                &inner.loop_step,
                &inner.result,
            ];
            parts.into_iter().for_each(see);
        }
        Expr::List(list) => list.elements.iter().for_each(see),
        Expr::Map(map) => map
            .entries
            .iter()
            .for_each(|entry| in_entry(&entry.expr, see)),
        Expr::Struct(fields) => fields
            .entries
            .iter()
            .for_each(|entry| in_entry(&entry.expr, see)),
        Expr::Select(select) => see(&select.operand),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

fn in_entry<'e>(entry: &'e EntryExpr, see: &mut impl FnMut(&'e IdedExpr)) {
    match entry {
        EntryExpr::StructField(field) => see(&field.value),
        EntryExpr::MapEntry(entry) => {
            see(&entry.key);
            see(&entry.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::condition::Interpreter;

    #[test]
    fn every_function_that_is_suggested_exists() {
        let root = Interpreter::new().root;
        for name in FUNCTIONS {
            let calls = [format!("{name}()"), format!("''.{name}()")];
            let exists = calls.iter().any(|call| {
                let outcome = Program::compile(call).map(|call| call.execute(&root));
                !matches!(outcome, Ok(Err(ExecutionError::UndeclaredReference(_))))
            });
            // Macros are functions only with the arguments that they want.
            let macros = ["[1].{}(x, x > 0)", "{}(x.y)"];
            let is_macro = macros.iter().any(|call| {
                let program = Program::compile(&call.replace("{}", name)).unwrap();
                !program.references().has_function(name)
            });
            assert!(exists || is_macro, "{name}");
        }
    }
}
