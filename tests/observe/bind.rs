//! Scenario: the admin endpoint is in use, or nonsense.
//! Guarantee: the error names the endpoint, and its source tells a port in use from the rest.

use std::io;

use spillway::config::AdminConfig;
use spillway::observe::Admin;

#[tokio::test]
async fn an_endpoint_that_cannot_be_bound_is_named() {
    let config = |endpoint: &str| AdminConfig { endpoint: endpoint.to_owned(), token_file: None };
    let first = Admin::bind(&config("127.0.0.1:0")).await.unwrap();
    let taken = first.address().to_string();
    let error = Admin::bind(&config(&taken)).await.unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(error.to_string(), format!("admin.endpoint {taken} cannot be listened on"));
    let error = Admin::bind(&config("not an endpoint")).await.unwrap_err();
    assert!(error.to_string().contains("not an endpoint"), "{error}");
}
