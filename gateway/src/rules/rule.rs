//! A rule, compiled; and all of them. Nothing in here changes while readings go by.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::condition::{Condition, Interpreter, Kind, STACK_BYTES};
use super::life::Terms;
use super::memory::Memory;
use super::states::{Subject, Whose};
use super::topics::Topics;
use super::window::Span;
use crate::config::{Fault, Faults, in_order};
use crate::domain::place::Place;
use crate::domain::rule::{Absence, Action, Expression, Repeat, RuleDefinition, Severity};
use crate::domain::template;
use crate::domain::topic::TopicName;

/// Compiled rules. Evaluating them needs a thread with [`STACK_BYTES`].
pub struct RuleSet {
    pub(super) rules: Vec<Rule>,
    pub(super) topics: Topics,
    pub(super) cel: Interpreter,
    /// Whether what sensors said last has to be known.
    pub(super) wants_previous: bool,
    pub(super) wants_devices: bool,
    /// Whether any rule drops.
    pub(super) drops: bool,
}

pub(super) struct Rule {
    pub(super) name: Arc<str>,
    pub(super) looks_at: LooksAt,
    pub(super) when: Option<Condition>,
    pub(super) clear: Option<Condition>,
    pub(super) group_by: Option<Condition>,
    pub(super) terms: Terms,
    /// What comes in the place of readings.
    pub(super) thins: Option<Span>,
    /// Whether what it does depends on what was before.
    pub(super) is_stateful: bool,
    pub(super) severity: Option<Severity>,
    pub(super) message: Option<Box<str>>,
    pub(super) actions: Vec<Action>,
    /// Whether all that it remembers can be told from its alerts.
    pub(super) follows_from_alerts: bool,
    /// All that its state depends on: with another one it begins anew.
    pub(super) fingerprint: Box<str>,
}

/// What a rule is asked about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum LooksAt {
    EachReading,
    Windows(Span),
    /// Silence of sensors for so many milliseconds.
    Silence(i64),
    /// Devices that are offline for so many milliseconds.
    Offline(i64),
}

impl RuleSet {
    /// Compiles the rules, or tells every fault of every rule.
    pub fn compile(definitions: &[RuleDefinition]) -> Result<Self, Vec<Fault>> {
        let compile = || Self::compile_here(definitions);
        thread::scope(|scope| {
            thread::Builder::new()
                .name("rules".into())
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, compile)
                .map_err(|error| vec![fault_of_all(&error.to_string())])?
                .join()
                .unwrap_or_else(|_| Err(vec![fault_of_all("the compiler panicked")]))
        })
    }

    /// Every fault of rules that were read with faults, in the order of their places: those that were found in reading
    /// them, and those of the conditions of rules that have none of these.
    pub fn faults_of(read: &Faults) -> Vec<Fault> {
        let mut all = read.list.clone();
        all.extend(Self::compile(&read.rules).err().into_iter().flatten());
        in_order(all)
    }

    fn compile_here(definitions: &[RuleDefinition]) -> Result<Self, Vec<Fault>> {
        let mut set = Self {
            rules: Vec::with_capacity(definitions.len()),
            topics: Topics::default(),
            cel: Interpreter::new(),
            wants_previous: false,
            wants_devices: false,
            drops: definitions
                .iter()
                .any(|definition| definition.actions.contains(&Action::Drop)),
        };
        let mut faults = Vec::new();
        // What one of them drops no other rule sees.
        let (first, others): (Vec<_>, Vec<_>) = definitions
            .iter()
            .partition(|definition| definition.actions.contains(&Action::Drop));
        for (place, definition) in (0..).zip(first.into_iter().chain(others)) {
            if let Some(rule) = Rule::compile(definition, &set.cel, &mut faults) {
                set.wants_previous |= rule.conditions().any(Condition::wants_previous);
                set.wants_devices |= rule.conditions().any(Condition::wants_device);
                if !matches!(rule.looks_at, LooksAt::Offline(_)) {
                    set.topics.add(place, &definition.topics);
                }
                set.rules.push(rule);
            }
        }
        if faults.is_empty() {
            Ok(set)
        } else {
            Err(in_order(faults))
        }
    }
}

impl Rule {
    fn compile(
        definition: &RuleDefinition,
        cel: &Interpreter,
        faults: &mut Vec<Fault>,
    ) -> Option<Self> {
        let before = faults.len();
        let name = &definition.name;
        let mut compile =
            |key, expression: &Option<Expression>, kind| {
                let expression = expression.as_ref()?;
                let flaws = match Condition::compile(expression, kind, cel) {
                    Ok(condition) => return Some(condition),
                    Err(flaws) => flaws,
                };
                faults.extend(flaws.into_iter().map(|flaw| {
                    Fault::of_expression(name, key, expression, flaw.meant, flaw.message)
                }));
                None
            };
        let looks_at = looks_at(definition);
        let kind = match looks_at {
            LooksAt::Windows(_) => Kind::OfWindow,
            _ => Kind::OfReading,
        };
        let when = compile("when", &definition.when, kind);
        let clear = compile("clear", &definition.clear, kind);
        let group_by = compile("group_by", &definition.group_by, Kind::Group);
        if definition.actions.contains(&Action::Drop)
            && let Some(expression) = &definition.when
            && let Some(tags) = when.as_ref().and_then(Condition::place_of_tags)
        {
            let message = "has no `tags` yet: a rule that drops is asked before the others";
            faults.push(Fault::of_expression(
                name,
                "when",
                expression,
                Some(tags),
                message,
            ));
        }
        if faults.len() != before {
            return None;
        }
        let terms = Terms {
            hold: millis(definition.hold),
            clear_hold: millis(definition.clear_hold),
            cooldown: millis(definition.cooldown),
            repeat: definition.repeat,
        };
        let is_timed = 0 < terms.hold || 0 < terms.clear_hold || 0 < terms.cooldown;
        let has_alert = definition.actions.contains(&Action::Alert);
        let is_sparse = terms.repeat != Repeat::Every;
        let thins = definition.actions.iter().find_map(|action| match action {
            Action::Downsample(time) => Some(Span {
                over: millis(*time),
                every: millis(*time),
                lateness: millis(definition.lateness),
            }),
            _ => None,
        });
        let is_plain = looks_at == LooksAt::EachReading && !is_timed && thins.is_none();
        let follows_from_alerts =
            is_plain && has_alert && !matches!(terms.repeat, Repeat::After(_));
        Some(Self {
            thins,
            follows_from_alerts,
            name: Arc::clone(&definition.name),
            looks_at,
            is_stateful: is_timed || has_alert || is_sparse || clear.is_some(),
            when,
            clear,
            group_by,
            terms,
            severity: definition.severity,
            message: definition.message.clone(),
            actions: definition.actions.clone(),
            fingerprint: fingerprint(definition, looks_at, &terms, thins),
        })
    }

    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        [&self.when, &self.clear, &self.group_by]
            .into_iter()
            .flatten()
    }

    /// The topic that comes of a template.
    pub(super) fn topic(&self, template: &str, sensor: &str) -> Result<TopicName, String> {
        let topic = template::fill(template, |name| match name {
            "sensor_id" => Some(sensor.to_owned()),
            "rule" => Some(self.name.to_string()),
            _ => None,
        });
        if TopicName::is_own(&topic) {
            return Err(format!(
                "cannot publish to {topic:?}: it is the gateway's own"
            ));
        }
        TopicName::new(&topic).map_err(|error| format!("cannot publish to {topic:?}: {error}"))
    }

    /// Of whom it remembers something, by name: a sensor, else what it looks at. `place` is its own.
    pub(super) fn subject(&self, place: u32, name: &Arc<str>, memory: &mut Memory) -> Subject {
        let is_of_sensors =
            self.group_by.is_none() && !matches!(self.looks_at, LooksAt::Offline(_));
        let whose = if is_of_sensors {
            Whose::Sensor(memory.place_or_new(name))
        } else {
            Whose::Named(Arc::clone(name))
        };
        Subject { rule: place, whose }
    }

    pub(super) fn drops(&self) -> bool {
        self.actions.contains(&Action::Drop)
    }

    pub(super) fn has_alert(&self) -> bool {
        self.actions.contains(&Action::Alert)
    }
}

fn looks_at(definition: &RuleDefinition) -> LooksAt {
    match (definition.window, definition.absent) {
        (_, Some(Absence::Sensor(time))) => LooksAt::Silence(millis(time)),
        (_, Some(Absence::Device(time))) => LooksAt::Offline(millis(time)),
        (Some(window), None) => LooksAt::Windows(Span {
            over: millis(window.over),
            every: millis(window.every),
            lateness: millis(definition.lateness),
        }),
        (None, None) => LooksAt::EachReading,
    }
}

/// Never changed from one version to the next for what both know: state would be lost.
fn fingerprint(
    definition: &RuleDefinition,
    looks_at: LooksAt,
    terms: &Terms,
    thins: Option<Span>,
) -> Box<str> {
    let text = |expression: &Option<Expression>| {
        expression
            .as_ref()
            .map_or(String::new(), |expression| expression.text.to_string())
    };
    let topics = definition.topics.iter().map(|filter| filter.as_str());
    let windows = |span: Span| format!("{}/{}/{}", span.over, span.every, span.lateness);
    let looks_at = match looks_at {
        LooksAt::EachReading => thins.map_or_else(|| "each".to_owned(), windows),
        LooksAt::Windows(span) => windows(span),
        LooksAt::Silence(time) => format!("silence/{time}"),
        LooksAt::Offline(time) => format!("offline/{time}"),
    };
    let (hold, clear_hold, cooldown) = (terms.hold, terms.clear_hold, terms.cooldown);
    let parts = [
        topics.collect::<Vec<_>>().join(" "),
        text(&definition.when),
        text(&definition.clear),
        text(&definition.group_by),
        looks_at,
        format!("{hold}/{clear_hold}/{cooldown}"),
        definition.actions.contains(&Action::Alert).to_string(),
    ];
    parts.join("\n").into()
}

/// Times of the configuration end long before they overflow.
pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.rules.iter().map(|rule| &rule.name))
            .finish()
    }
}

fn fault_of_all(reason: &str) -> Fault {
    Fault::new(Place::Defaults, "rule", reason)
}
