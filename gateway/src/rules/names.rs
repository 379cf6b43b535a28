//! Which names and functions an expression stands on.

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, ExecutionError, Program};

/// The first name that is neither one of `known` nor bound by the expression itself, as `x` in `list.exists(x, x > 1)`.
pub(super) fn unknown_variable(program: &Program, known: &[&str]) -> Option<String> {
    let mut bound = Vec::new();
    collect_bound(program.expression(), &mut bound);
    let references = program.references();
    let mut used = references.variables();
    used.sort_unstable();
    let unknown = used
        .into_iter()
        .find(|name| !known.contains(name) && !bound.contains(name))?;
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

fn collect_bound<'e>(expression: &'e IdedExpr, bound: &mut Vec<&'e str>) {
    match &expression.expr {
        Expr::Call(call) => {
            let target = call.target.as_deref().into_iter();
            target
                .chain(&call.args)
                .for_each(|part| collect_bound(part, bound));
        }
        Expr::Comprehension(inner) => {
            bound.extend([&*inner.iter_var, &*inner.accu_var]);
            bound.extend(inner.iter_var2.as_deref());
            for part in [
                &inner.iter_range,
                &inner.accu_init,
                &inner.loop_cond,
                &inner.loop_step,
                &inner.result,
            ] {
                collect_bound(part, bound);
            }
        }
        Expr::List(list) => list
            .elements
            .iter()
            .for_each(|part| collect_bound(part, bound)),
        Expr::Map(map) => map
            .entries
            .iter()
            .for_each(|entry| collect_in_entry(&entry.expr, bound)),
        Expr::Struct(fields) => fields
            .entries
            .iter()
            .for_each(|entry| collect_in_entry(&entry.expr, bound)),
        Expr::Select(select) => collect_bound(&select.operand, bound),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

fn collect_in_entry<'e>(entry: &'e EntryExpr, bound: &mut Vec<&'e str>) {
    match entry {
        EntryExpr::StructField(field) => collect_bound(&field.value, bound),
        EntryExpr::MapEntry(entry) => {
            collect_bound(&entry.key, bound);
            collect_bound(&entry.value, bound);
        }
    }
}
