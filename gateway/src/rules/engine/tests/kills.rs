//! Nothing depends on how often the gateway commits or is killed.

use super::house::*;
use super::*;
use crate::domain::rule::{Absence, Repeat, WindowDefinition};

/// Rules and readings by chance: the same comes of them however they are cut into commits, and wherever the gateway is killed.
#[test]
fn neither_commits_nor_kills_change_what_comes_of_the_readings() {
    let (mut is_told, mut acknowledged) = (0, 0);
    for seed in 0..150 {
        let mut random = fastrand::Rng::with_seed(seed);
        let rules = some_rules(&mut random);
        let mut undisturbed = House::of(&rules);
        let mut disturbed = House::of(&rules);
        let mut now = 0;
        for step in 0..300 {
            now += random.i64(0..40);
            let late = if random.u8(0..4) == 0 {
                random.i64(0..200)
            } else {
                0
            };
            let (sensor, value) = (
                format!("s{}", random.u8(0..3)),
                f64::from(random.i32(40..110)),
            );
            match random.u8(0..20) {
                0 => {
                    let status = if random.bool() { "offline" } else { "online" };
                    undisturbed.says(&sensor, status, now);
                    disturbed.says(&sensor, status, now);
                }
                1 => {
                    let number = undisturbed.raised.len().saturating_sub(random.usize(..4));
                    let episode = undisturbed.raised.keys().nth(number).copied().unwrap_or(1);
                    let first = undisturbed.is_acknowledged(episode, now);
                    let second = disturbed.is_acknowledged(episode, now);
                    assert_eq!(first, second, "seed {seed}, step {step}");
                    acknowledged += usize::from(first);
                }
                _ => {
                    let first = undisturbed.reads_late(&sensor, value, now - late, now);
                    let second = disturbed.reads_late(&sensor, value, now - late, now);
                    assert_eq!(first, second, "seed {seed}, step {step}");
                }
            }
            match random.u8(0..4) {
                0 => disturbed.restarts(),
                1 => disturbed.commits(),
                2 if random.bool() => disturbed.commits_all(),
                2 => disturbed.ticks(now + random.i64(0..3)),
                _ => {}
            }
            now += 3;
        }
        undisturbed.ticks(now + 100_000);
        disturbed.restarts();
        disturbed.ticks(now + 100_000);
        let pairs = undisturbed.told.iter().zip(&disturbed.told);
        for (line, (one, other)) in pairs.enumerate() {
            assert_eq!(
                one,
                other,
                "seed {seed}, line {line} of {}",
                undisturbed.told.len()
            );
        }
        assert_eq!(undisturbed.told.len(), disturbed.told.len(), "seed {seed}");
        assert!(
            undisturbed.aggregates == disturbed.aggregates,
            "seed {seed}"
        );
        is_told += usize::from(!undisturbed.told.is_empty());
        undisturbed.commits_all();
        disturbed.commits_all();
        assert_eq!(
            undisturbed.stored.len(),
            disturbed.stored.len(),
            "seed {seed}"
        );
    }
    assert!(100 < acknowledged, "{acknowledged} acknowledged");
    assert!(100 < is_told, "{is_told} of 150 streams tell something");
}

fn some_rules(random: &mut fastrand::Rng) -> Vec<RuleDefinition> {
    let pick = |random: &mut fastrand::Rng, from: &[u64]| seconds(from[random.usize(..from.len())]);
    (0..random.usize(1..6))
        .map(|number| {
            let name = format!("r{number}");
            let mut made = rule(&name, "value > 75", &[Action::Alert]);
            match random.u8(0..6) {
                0 => {
                    let every = pick(random, &[10, 20, 60]);
                    made.window = Some(WindowDefinition {
                        over: seconds(60),
                        every,
                    });
                    made.when = Some(expression("avg > 75 || stddev > 20.0"));
                    made.lateness = pick(random, &[0, 30, 100]);
                    made.actions.push(Action::Forward(UplinkSet::one(0)));
                }
                1 => {
                    made.when = None;
                    made.absent = Some(Absence::Sensor(pick(random, &[30, 60])));
                }
                2 => {
                    made.when = None;
                    made.absent = Some(Absence::Device(pick(random, &[30, 60])));
                }
                3 => made.when = Some(expression("delta > 20.0")),
                4 => {
                    made.actions = vec![Action::Downsample(pick(random, &[10, 60]))];
                    made.lateness = pick(random, &[0, 30]);
                }
                _ => {
                    made.hold = pick(random, &[0, 0, 30]);
                    made.clear_hold = pick(random, &[0, 0, 30]);
                    made.cooldown = pick(random, &[0, 0, 100]);
                    made.clear = random.bool().then(|| expression("value < 60"));
                    made.repeat =
                        [Repeat::Every, Repeat::OnChange, Repeat::After(60_000)][random.usize(..3)];
                }
            }
            if random.u8(0..4) == 0 && !matches!(made.absent, Some(Absence::Device(_))) {
                made.group_by = Some(expression("attributes.room"));
            }
            made
        })
        .collect()
}
