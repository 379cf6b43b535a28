//! Makes the description: each path is described where it is served; here is what they share.

use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Schema, SecurityRequirement};
use utoipa::{Modify, OpenApi};

use crate::http::{
    alerts, data, dead_letters, gateway, health, life, log_filter, metrics, mqtt, openapi::shapes,
    outbox, readings, rejects, rules, sensors, series, session, status,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Edge gateway",
        description = "Times are milliseconds since 1970 in answers; parameters also take RFC 3339. Lists are pages: \
                       `next`, given as `after`, gets the next one. A token is needed from where the configuration does \
                       not let everybody in; its role is read, write (brings readings and statuses, acknowledges alerts) \
                       or admin.",
    ),
    paths(
        data::take, data::show, status::take, status::show,
        readings::show, life::show, series::show, sensors::show,
        alerts::show, alerts::acknowledge,
        rules::show, rules::replace, rules::check, rules::test,
        log_filter::show, log_filter::replace,
        outbox::show, rejects::show, rejects::retry, rejects::drop,
        dead_letters::show, dead_letters::retry, dead_letters::drop,
        gateway::show, session::show, session::begin, session::end,
        health::live, health::ready, metrics::show, mqtt::enter,
    ),
    components(schemas(shapes::Problem, alerts::Asked, readings::Format)),
    modifiers(&Common),
)]
pub(in crate::http) struct Description;

/// What is the same of all paths.
struct Common;

impl Modify for Common {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("token", bearer);
        api.security = Some(vec![
            SecurityRequirement::default(),
            SecurityRequirement::new::<_, [&str; 0], &str>("token", []),
        ]);
        // What is empty brings nothing.
        if let Some(RefOr::T(Schema::OneOf(readings))) = components.schemas.get_mut("NewReadings") {
            for shape in &mut readings.items {
                if let RefOr::T(Schema::Array(several)) = shape {
                    several.min_items = Some(1);
                }
            }
        }
        for (name, path) in &mut api.paths.paths {
            let operations = [
                ("get", &mut path.get),
                ("post", &mut path.post),
                ("put", &mut path.put),
                ("delete", &mut path.delete),
            ];
            for (method, operation) in operations {
                if let Some(operation) = operation {
                    operation.operation_id = Some(method.to_owned() + name);
                    add_problem(operation);
                }
            }
        }
    }
}

/// Whatever goes wrong is told in the same way.
fn add_problem(operation: &mut Operation) {
    let schema = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let responses = &mut operation.responses.responses;
    let other = ResponseBuilder::new().description("What is wrong (RFC 9457)");
    responses.insert("default".to_owned(), RefOr::T(other.build()));
    for (status, response) in responses {
        if let RefOr::T(response) = response
            && !status.starts_with(['1', '2'])
            && response.content.is_empty()
        {
            let problem = "application/problem+json".to_owned();
            response.content.insert(problem, content.clone());
        }
    }
}
