use super::*;

fn filter() -> (reload::Layer<Targets, Registry>, LogFilter) {
    LogFilter::new(
        Targets::new().with_default(LevelFilter::INFO),
        "info".to_owned(),
    )
}

fn in_force(filter: &LogFilter) -> String {
    filter.handle.with_current(ToString::to_string).unwrap()
}

#[test]
fn a_bad_filter_is_told_and_changes_nothing() {
    let (_layer, filter) = filter();
    let check = |text: &str, expected: BadFilter| {
        assert_eq!(filter.set(text, None), Err(expected), "{text}");
    };
    check("", BadFilter::Empty);
    check("  ", BadFilter::Empty);
    check(" , ", BadFilter::Empty);
    check(&"x".repeat(1025), BadFilter::TooLong);
    let directive = |text: &str| BadFilter::Directive(text.to_owned());
    check("a=loud", directive("a=loud"));
    check(
        "info, edge_gateway::http=loud",
        directive("edge_gateway::http=loud"),
    );
    assert_eq!(filter.current().filter, "info");
    assert_eq!(in_force(&filter), "info");
}

#[tokio::test(start_paused = true)]
async fn what_is_for_a_while_ends() {
    let (_layer, filter) = filter();
    let stop = CancellationToken::new();
    let second = Duration::from_secs(1);
    let play = async {
        filter.set("warn", None).unwrap();
        filter.set("debug", Some(10 * second)).unwrap();
        tokio::time::sleep(4 * second).await;
        filter.set("edge_gateway=trace", Some(10 * second)).unwrap();
        let then = ("warn".to_owned(), 10 * second);
        assert_eq!(filter.current().then, Some(then));
        tokio::time::sleep(9 * second).await;
        assert_eq!(in_force(&filter), "edge_gateway=trace");
        tokio::time::sleep(2 * second).await;
        let expected = Current {
            filter: "warn".to_owned(),
            then: None,
        };
        assert_eq!(filter.current(), expected);
        assert_eq!(in_force(&filter), "warn");
        filter.set("debug", Some(second)).unwrap();
        filter.set("error", None).unwrap();
        tokio::time::sleep(2 * second).await;
        assert_eq!(in_force(&filter), "error");
        stop.cancel();
    };
    tokio::join!(filter.watch(stop.clone()), play);
}
