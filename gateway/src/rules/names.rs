//! What an expression stands on: names, functions, patterns; and how much it does.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};
use cel::{Context, ExecutionError, Program};

/// The first name that is neither one of `known` nor bound by the expression itself, as `x` in `list.exists(x, x > 1)`.
pub(super) fn unknown_variable(program: &Program, known: &[&str]) -> Option<String> {
    let mut bound = Vec::new();
    visit(program.expression(), &mut |part| {
        if let Expr::Comprehension(inner) = part {
            bound.extend([inner.iter_var.clone(), inner.accu_var.clone()]);
            bound.extend(inner.iter_var2.clone());
        }
    });
    let references = program.references();
    let mut used = references.variables();
    used.sort_unstable();
    let unknown = used
        .into_iter()
        .find(|name| !known.contains(name) && !bound.iter().any(|bound| bound == name))?;
    Some(unknown.to_owned())
}

/// The first function that does not exist. References list operators too, by names that are no identifiers.
pub(super) fn unknown_function(program: &Program, root: &Context<'_, '_>) -> Option<String> {
    let is_missing = |call: String| {
        let outcome = Program::compile(&call).map(|call| call.execute(root));
        matches!(outcome, Ok(Err(ExecutionError::UndeclaredReference(_))))
    };
    let references = program.references();
    let mut used = references.functions();
    used.sort_unstable();
    let unknown = used.into_iter().find(|name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && is_missing(format!("{name}()"))
            && is_missing(format!("''.{name}()"))
    })?;
    Some(unknown.to_owned())
}

/// Refuses a pattern of `matches` that is none, or is too large.
pub(super) fn check_patterns(program: &Program, root: &Context<'_, '_>) -> Result<(), String> {
    let mut fault = None;
    visit(program.expression(), &mut |part| {
        let Expr::Call(call) = part else { return };
        let pattern = match (&*call.func_name, &call.target, &*call.args) {
            ("matches", Some(_), [pattern]) | ("matches", None, [_, pattern]) => pattern,
            _ => return,
        };
        if let Expr::Literal(LiteralValue::String(text)) = &pattern.expr
            && let Err(error) = try_pattern(text.inner(), root)
        {
            fault.get_or_insert(error);
        }
    });
    fault.map_or(Ok(()), Err)
}

fn try_pattern(pattern: &str, root: &Context<'_, '_>) -> Result<(), String> {
    let mut context = root.new_inner_scope();
    context.add_variable_from_value("pattern", pattern);
    let program = Program::compile("''.matches(pattern)").map_err(|error| error.to_string())?;
    match program.execute(&context) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("`{pattern}` is no pattern: {error}")),
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

fn visit(expression: &IdedExpr, see: &mut impl FnMut(&Expr)) {
    see(&expression.expr);
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
