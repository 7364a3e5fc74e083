//! Scenario: doors that want credentials: requests with right, wrong and no ones, tokens that rotate.
//! Guarantee: who shows none that holds is told so at once, in its own encoding, and nothing of it is read or kept.

use spillway::batch::Signal;
use spillway::config::ReceiverConfig;
use spillway::otlp::status::code;
use tempfile::TempDir;

use crate::support::gateway::config;
use crate::support::grpc::framed;
use crate::support::samples::request;
use crate::support::{Gateway, eventually, grpc};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

/// `me:secret`, in base64.
const ME: (&str, &str) = ("authorization", "Basic bWU6c2VjcmV0");

struct Files(TempDir);

impl Files {
    fn new() -> Files {
        let files = Files(tempfile::tempdir().unwrap());
        files.write("tokens", "old\n");
        files.write("users", "me:secret\n");
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join("next"), text).unwrap();
        std::fs::rename(self.0.path().join("next"), self.0.path().join(name)).unwrap();
    }

    fn config(&self) -> ReceiverConfig {
        let mut config = config();
        config.auth.bearer_token_file = Some(self.0.path().join("tokens"));
        config.auth.basic_file = Some(self.0.path().join("users"));
        config
    }
}

/// The gRPC status of an export that shows this.
async fn exported(client: &grpc::Client, shown: &[(&str, &str)]) -> u8 {
    let message = framed(0, &request(Signal::Logs, 1, 0));
    client.call(Signal::Logs.grpc_path(), shown, &[&message]).await.unwrap().status()
}

/// Requests without credentials, and with wrong ones, over both transports.
/// Guarantees 401 and UNAUTHENTICATED before the body is read, with a Status in the request's encoding and the ways that
/// are open; and that it is counted.
#[tokio::test]
async fn strangers_are_turned_away_before_their_body_is_read() {
    let files = Files::new();
    let gateway = Gateway::start_with(files.config()).await;
    let grpc = gateway.grpc().await;
    let wrong = [("authorization", "Bearer older")];
    for shown in [&[][..], &wrong, &[("authorization", "Basic bWU6")], &[("authorization", "old")]] {
        // A body that never ends.
        let (response, _stream) = grpc.begin_with(Signal::Logs, shown, b"\0\0").await;
        let head = response.await.unwrap().into_parts().0;
        assert_eq!(head.headers["grpc-status"], "16", "{shown:?}");
        for form in [PROTOBUF, JSON] {
            let mut http = gateway.http().await;
            http.head("POST", "/v1/logs", &[shown, &[form, ("content-length", "1000000")]].concat()).await;
            let answer = http.answer().await;
            assert_eq!((answer.status, answer.header("content-type")), (401, form.1), "{shown:?}");
            assert_eq!(answer.error().code, code::UNAUTHENTICATED);
            assert!(answer.header("www-authenticate").starts_with("Bearer realm="));
        }
    }
    assert_eq!(gateway.count("grpc", Signal::Logs, "unauthenticated"), 4);
    assert_eq!(gateway.count("http", Signal::Logs, "unauthenticated"), 8);
    let refused = gateway.stats.snapshot().refused_items;
    assert!(refused.contains(&("unauthenticated", 12)), "{refused:?}");
    assert_eq!(gateway.stats.snapshot().received_bytes, (0, 0));
    assert!(gateway.stored_nothing().await);

    // Load balancers have no credentials: health is told to all, and tells nothing but that somebody is there.
    let health = grpc.call("/grpc.health.v1.Health/Check", &[], &[&framed(0, b"")]).await.unwrap();
    assert_eq!(health.status(), 0);
}

/// Requests with a token and with a user's password, over both transports.
/// Guarantees that they are taken.
#[tokio::test]
async fn who_shows_what_holds_comes_in() {
    let files = Files::new();
    let gateway = Gateway::start_with(files.config()).await;
    let (grpc, mut http) = (gateway.grpc().await, gateway.http().await);
    for shown in [("authorization", "Bearer old"), ME] {
        assert_eq!(exported(&grpc, &[shown]).await, 0);
        let body = request(Signal::Logs, 1, 0);
        assert_eq!(http.post("/v1/logs", &[PROTOBUF, shown], &body).await.status, 200);
    }
    for _ in 0..4 {
        let headers = gateway.stored(Signal::Logs).await.headers;
        assert!(headers.is_empty(), "credentials are not kept: {headers:?}");
    }
}

/// A token that rotates over one open connection: a second one beside it, then the second alone; then a broken file.
/// Guarantees that both hold meanwhile, that the first holds no longer then, and that a broken file changes nothing.
#[tokio::test]
async fn tokens_rotate_under_an_open_connection() {
    let files = Files::new();
    let gateway = Gateway::start_with(files.config()).await;
    let grpc = gateway.grpc().await;
    let (old, new) = ([("authorization", "Bearer old")], [("authorization", "Bearer new")]);
    assert_eq!((exported(&grpc, &old).await, exported(&grpc, &new).await), (0, 16));
    files.write("tokens", "old\nnew\n");
    eventually("it is read anew", || gateway.files("bearer_tokens") == (1, true)).await;
    assert_eq!((exported(&grpc, &old).await, exported(&grpc, &new).await), (0, 0));
    files.write("tokens", "new\n");
    eventually("it is read anew", || gateway.files("bearer_tokens") == (2, true)).await;
    assert_eq!((exported(&grpc, &old).await, exported(&grpc, &new).await), (16, 0));
    for broken in ["\n", "two words\n"] {
        files.write("tokens", broken);
        eventually("the trouble shows", || gateway.files("bearer_tokens") == (2, false)).await;
        assert_eq!((exported(&grpc, &old).await, exported(&grpc, &new).await), (16, 0));
    }
}
