//! The common shape of a condition, comparisons of numbers joined by `&&`, `||` and `!`, without the interpreter: it says the
//! same in a fiftieth of the time. Everything else is the interpreter's.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use super::scope::Number;

/// Such a condition.
#[derive(Debug)]
pub(super) enum Quick {
    Always(bool),
    Not(Box<Self>),
    And(Box<[Self; 2]>),
    Or(Box<[Self; 2]>),
    Compare(Term, Comparison, Term),
    /// A name that stands for a bool: not zero.
    Flag(Number),
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub(super) enum Term {
    Constant(f64),
    Named(Number),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// Integers up to here are numbers of their own as doubles: a comparison with a larger one is left to the interpreter.
const EXACT: i64 = 1 << 53;

impl Quick {
    /// `None` if the expression is of another shape.
    pub(super) fn of(expression: &IdedExpr) -> Option<Self> {
        match &expression.expr {
            Expr::Literal(LiteralValue::Boolean(value)) => Some(Self::Always(*value.inner())),
            Expr::Ident(name) => {
                let number = Number::named(name)?;
                number.is_flag().then_some(Self::Flag(number))
            }
            Expr::Call(call) if call.target.is_none() => Self::of_call(call),
            _ => None,
        }
    }

    fn of_call(call: &CallExpr) -> Option<Self> {
        let part = |place: usize| Self::of(call.args.get(place)?).map(Box::new);
        let both = || Some(Box::new([*part(0)?, *part(1)?]));
        match (&*call.func_name, call.args.len()) {
            (operators::LOGICAL_NOT, 1) => Some(Self::Not(part(0)?)),
            (operators::LOGICAL_AND, 2) => Some(Self::And(both()?)),
            (operators::LOGICAL_OR, 2) => Some(Self::Or(both()?)),
            (name, 2) => {
                let comparison = Comparison::named(name)?;
                Some(Self::Compare(
                    term(&call.args[0])?,
                    comparison,
                    term(&call.args[1])?,
                ))
            }
            _ => None,
        }
    }

    /// Whether it is met; `number` gives what the names stand for.
    pub(super) fn is_met(&self, number: &impl Fn(Number) -> f64) -> bool {
        match self {
            Self::Always(value) => *value,
            Self::Not(inner) => !inner.is_met(number),
            Self::And(both) => both.iter().all(|part| part.is_met(number)),
            Self::Or(both) => both.iter().any(|part| part.is_met(number)),
            Self::Compare(left, comparison, right) => {
                comparison.holds(left.value(number), right.value(number))
            }
            Self::Flag(name) => number(*name) != 0.0,
        }
    }
}

fn term(expression: &IdedExpr) -> Option<Term> {
    match &expression.expr {
        Expr::Literal(LiteralValue::Double(value)) => Some(Term::Constant(*value.inner())),
        Expr::Literal(LiteralValue::Int(value)) => {
            let value = *value.inner();
            (-EXACT..=EXACT)
                .contains(&value)
                .then_some(Term::Constant(value as f64))
        }
        Expr::Ident(name) => {
            let number = Number::named(name)?;
            (!number.is_flag()).then_some(Term::Named(number))
        }
        Expr::Call(call) if call.func_name == operators::NEGATE && call.target.is_none() => {
            match term(call.args.first()?)? {
                Term::Constant(value) => Some(Term::Constant(-value)),
                Term::Named(_) => None,
            }
        }
        _ => None,
    }
}

impl Term {
    fn value(self, number: &impl Fn(Number) -> f64) -> f64 {
        match self {
            Self::Constant(value) => value,
            Self::Named(name) => number(name),
        }
    }
}

impl Comparison {
    fn named(operator: &str) -> Option<Self> {
        Some(match operator {
            operators::LESS => Self::Less,
            operators::LESS_EQUALS => Self::LessOrEqual,
            operators::GREATER => Self::Greater,
            operators::GREATER_EQUALS => Self::GreaterOrEqual,
            operators::EQUALS => Self::Equal,
            operators::NOT_EQUALS => Self::NotEqual,
            _ => return None,
        })
    }

    #[expect(clippy::float_cmp, reason = "as CEL compares them")]
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Equal => left == right,
            Self::NotEqual => left != right,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::place::Place;
    use crate::domain::reading::{Attributes, Reading};
    use crate::domain::rule::Expression;
    use crate::domain::sensor::SensorId;
    use crate::domain::timestamp::Timestamp;
    use crate::rules::condition::{Condition, Interpreter, Kind};
    use crate::rules::scope::{Matter, Previous, Scope, Tags};

    /// An expression of the shape, by chance; its comparisons are often equal.
    fn some(random: &mut fastrand::Rng, depth: u8) -> String {
        let term = |random: &mut fastrand::Rng| {
            let terms = [
                "value",
                "ts",
                "delta",
                "-1",
                "0",
                "1.5",
                "2",
                "rate",
                "received_at",
                "-0.0",
                "1e3",
            ];
            terms[random.usize(..terms.len())].to_owned()
        };
        match random.u8(0..if depth == 0 { 2 } else { 6 }) {
            0 => ["true", "false", "changed"][random.usize(..3)].to_owned(),
            2 => format!("!({})", some(random, depth - 1)),
            3 => format!(
                "({}) && ({})",
                some(random, depth - 1),
                some(random, depth - 1)
            ),
            4 => format!(
                "({}) || ({})",
                some(random, depth - 1),
                some(random, depth - 1)
            ),
            _ => {
                let comparison = ["<", "<=", ">", ">=", "==", "!="][random.usize(..6)];
                format!("{} {comparison} {}", term(random), term(random))
            }
        }
    }

    #[test]
    fn it_says_what_the_interpreter_says() {
        let mut random = fastrand::Rng::with_seed(1);
        let cel = Interpreter::new();
        let tags = Tags::default();
        for _ in 0..2_000 {
            let text = some(&mut random, 4);
            if Expression::MAX_BYTES < text.len() {
                continue;
            }
            let expression = Expression {
                text: text.as_str().into(),
                place: Place::Defaults,
            };
            let condition = Condition::compile(&expression, Kind::OfReading, &cel).unwrap();
            for value in [-1.0, 0.0, 1.5, 2.0, 1000.0] {
                let reading = Reading {
                    sensor_id: SensorId::new("s").unwrap(),
                    value,
                    ts: Timestamp::from_millis(2),
                    received_at: Timestamp::from_millis(1000),
                    attributes: Attributes::default(),
                    topic: None,
                };
                let previous = Some(Previous { value: 0.5, ts: 1 });
                let scope = Scope::new(
                    Matter::Reading {
                        reading: &reading,
                        previous,
                        tags: &tags,
                    },
                    "",
                );
                let (quick, slow) = condition.both(&scope, &cel);
                assert_eq!(quick, slow, "{text} for {value}");
            }
        }
    }
}
