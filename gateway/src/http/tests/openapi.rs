//! The description of the API names what there is, and nothing else.

use std::collections::BTreeSet;

use utoipa::OpenApi as _;

use super::*;
use crate::http::openapi::description::Description;

/// It is made anew from what stands beside the handlers; with `UPDATE=1` in the environment it is written.
#[cfg(target_pointer_width = "64")]
#[test]
fn the_description_is_the_one_that_is_checked_in() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let made = Description::openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, &made).unwrap();
    }
    let checked_in = fs::read_to_string(path).unwrap();
    assert!(checked_in == made, "run this test with UPDATE=1");
}

/// Methods by path, of the description.
fn described(api: &Value) -> BTreeSet<(String, String)> {
    let paths = api["paths"].as_object().unwrap().iter();
    let each = paths.flat_map(|(path, operations)| {
        let operations = operations.as_object().unwrap().keys();
        operations.map(move |method| (path.clone(), method.to_uppercase()))
    });
    each.collect()
}

#[tokio::test]
async fn the_description_names_every_path_and_method() {
    let house = House::open();
    let api = house.get("/openapi.json").await.is(200).json();
    let described = described(&api);
    let served = include_str!("../mod.rs").split(".route(").skip(1);
    let served: BTreeSet<&str> = served.filter_map(|rest| rest.split('"').nth(1)).collect();
    let undescribed = ["/", "/dashboard/{*path}", "/openapi.json"];
    for path in &served {
        let is_described = described.iter().any(|(described, _)| described == path);
        assert_ne!(is_described, undescribed.contains(path), "{path}");
    }
    for path in described
        .iter()
        .map(|(path, _)| path)
        .collect::<BTreeSet<_>>()
    {
        let real = path.replace("{id}", "1");
        let answer = house.send(request(Method::PATCH, &real, "")).await;
        answer.is_problem(405);
        let allowed = answer.header(header::ALLOW).split(',').map(str::trim);
        let allowed: BTreeSet<&str> = allowed.filter(|method| *method != "HEAD").collect();
        let methods = described.iter().filter(|(other, _)| other == path);
        let methods: BTreeSet<&str> = methods.map(|(_, method)| &**method).collect();
        assert_eq!(allowed, methods, "{path}");
    }
}

#[tokio::test]
async fn every_reference_of_the_description_leads_somewhere() {
    let house = House::open();
    let answer = house.get("/openapi.json").await;
    let api = answer.is(200).json();
    let references = answer.text.split("\"$ref\": \"#").skip(1);
    let references: BTreeSet<&str> = references
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(20 < references.len(), "{references:?}");
    for reference in references {
        assert!(api.pointer(reference).is_some(), "{reference}");
    }
    let operations = api["paths"].as_object().unwrap().values();
    let operations = operations.flat_map(|path| path.as_object().unwrap().values());
    let ids: Vec<&str> = operations
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    let distinct: BTreeSet<&&str> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
}
