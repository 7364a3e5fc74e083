//! Rules that concern several sections together. What concerns one key alone is checked where it is read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Config;
use super::chain::SignalChain;
use super::mistake::{Mistake, Place};
use super::nearest::{list, nearest};
use super::queue::QueueSize;
use super::read::{ParsedEndpoint, parse_bind};
use super::reader::Report;
use super::receivers::DoorAuth;
use super::targets::{FileConfig, TargetConfig, TargetKind};
use super::tree::Node;
use super::volume;
use crate::batch::Signal;

/// Holds every rule against the configuration; `tree` says where a message points.
pub(super) fn check(config: &Config, tree: &Node, report: &Report) {
    let rules = Rules { config, tree, report };
    rules.targets_exist();
    for signal in Signal::ALL {
        rules.chain(signal);
    }
    rules.ports();
    rules.open_credentials();
    for target in &config.targets {
        match &target.kind {
            TargetKind::Network(_) => rules.own_door(target),
            TargetKind::File(file) => rules.file_target(target, file),
        }
        rules.unused(target);
    }
    rules.share_of_the_volume();
    rules.cluster_name();
}

struct Rules<'a> {
    config: &'a Config,
    tree: &'a Node,
    report: &'a Report,
}

impl Rules<'_> {
    /// Names as written, so that a target with a mistake of its own still counts as one.
    fn names(&self) -> Vec<&str> {
        let targets = self.tree.find(&["targets"]);
        targets.map(|node| node.entries().iter().map(|entry| entry.key.as_str()).collect()).unwrap_or_default()
    }

    fn targets_exist(&self) {
        let missing = self
            .tree
            .find(&["targets"])
            .is_none_or(|node| node.is_null() || node.value == super::tree::Value::Map(Vec::new()));
        if missing {
            let mistake = Mistake::new(self.tree.place(&["targets"]), "there is no target");
            self.report.mistake(mistake.expected("targets: {hub: {endpoint: \"https://hub:4317\"}}"));
        }
    }

    fn chain(&self, signal: Signal) {
        let names = self.names();
        if names.is_empty() {
            return;
        }
        let own = ["chain", "signals", signal.as_str()];
        let place = |key: &str, number: Option<usize>| {
            let number = number.map(|number| number.to_string());
            let below = |above: &[&str]| {
                let path: Vec<&str> = above.iter().copied().chain([key]).chain(number.as_deref()).collect();
                path.join(".")
            };
            let path = if self.tree.has(&[own[0], own[1], own[2], key]) { below(&own) } else { below(&["chain"]) };
            let place = self.tree.place(&path.split('.').collect::<Vec<_>>());
            // `chain.fallback.1` is a name for us; people look for `chain.fallback`.
            let shown = path.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('.').to_owned();
            (place, shown)
        };
        // One mistake in the chain of all signals is told once, and not once a signal.
        let of = if self.tree.has(&own) { format!(" of {signal}") } else { String::new() };
        let SignalChain { primary, fallback } = self.config.chain.of(signal);
        if primary.is_empty() {
            // With one target alone, it is that one that has a mistake.
            if names.len() > 1 {
                let (place, path) = place("primary", None);
                let what = format!("`{path}` is missing, and there are several targets");
                self.report.mistake(Mistake::new(place, what).expected(list(&names, "or")));
            }
        } else if !names.contains(&primary.as_str()) {
            let (place, path) = place("primary", None);
            self.no_such_target(place, &path, primary, &names);
        }
        for (number, name) in fallback.iter().enumerate() {
            let (place, path) = place("fallback", Some(number));
            let complain = |what: String, expected: &str| {
                self.report.mistake(Mistake::new(place.clone(), what).expected(expected));
            };
            if !names.contains(&name.as_str()) {
                self.no_such_target(place, &path, name, &names);
            } else if name == primary {
                complain(format!("`{path}` names `{name}`, which is the primary{of}"), "another target");
            } else if fallback[..number].contains(name) {
                complain(format!("`{path}` names `{name}` twice"), "each target once");
            }
        }
    }

    fn no_such_target(&self, place: Place, path: &str, name: &str, names: &[&str]) {
        let hint = nearest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let mistake = Mistake::new(place, format!("`{path}` names `{name}`, which is not a target"));
        self.report.mistake(Mistake { hint, ..mistake.expected(list(names, "or")) });
    }

    /// Every address that is listened at: path of its key, host, port.
    fn listeners(&self) -> Vec<([&'static str; 5], String, u16)> {
        let receivers = &self.config.receivers;
        let doors = [
            (
                ["receivers", "otlp", "protocols", "grpc", "endpoint"],
                receivers.grpc.as_ref().map(|door| &door.endpoint),
            ),
            (
                ["receivers", "otlp", "protocols", "http", "endpoint"],
                receivers.http.as_ref().map(|door| &door.endpoint),
            ),
            (["admin", "endpoint", "", "", ""], Some(&self.config.admin.endpoint)),
        ];
        let parsed = doors.into_iter().filter_map(|(path, endpoint)| Some((path, parse_bind(endpoint?)?)));
        parsed.map(|(path, (host, port))| (path, host, port)).collect()
    }

    fn ports(&self) {
        let listeners = self.listeners();
        for (position, (path, host, port)) in listeners.iter().enumerate() {
            for (other_path, other_host, other_port) in &listeners[..position] {
                if *port != 0 && port == other_port && overlap(host, other_host) {
                    let path: Vec<&str> = path.iter().copied().filter(|part| !part.is_empty()).collect();
                    let other: Vec<&str> = other_path.iter().copied().filter(|part| !part.is_empty()).collect();
                    let what = format!("`{}` has port {port}, which `{}` has too", path.join("."), other.join("."));
                    // Where neither is written, the one that is points the way.
                    let place = if self.tree.has(&path) { self.tree.place(&path) } else { self.tree.place(&other) };
                    self.report.mistake(Mistake::new(place, what).expected("a port for each"));
                }
            }
        }
    }

    /// Credentials that whoever is on the way can read, and then show.
    fn open_credentials(&self) {
        let receivers = &self.config.receivers;
        if receivers.auth == DoorAuth::default() {
            return;
        }
        let grpc = receivers.grpc.as_ref().map(|door| ("grpc", &door.endpoint, &door.tls));
        let http = receivers.http.as_ref().map(|door| ("http", &door.endpoint, &door.tls));
        for (door, endpoint, _) in [grpc, http].into_iter().flatten().filter(|(_, _, tls)| tls.is_none()) {
            if parse_bind(endpoint).is_none_or(|(host, _)| !is_loopback(&host)) {
                let path = ["receivers", "otlp", "protocols", door];
                let what = format!("clients send their credentials to `{}` in plain text", path.join("."));
                let warning = Mistake::new(self.tree.place(&path), what);
                self.report.warning(warning.expected("`tls` beside its endpoint, or an endpoint on loopback"));
            }
        }
    }

    /// A target that is a door of this very gateway: what goes out would come in again, for ever.
    fn own_door(&self, target: &TargetConfig) {
        let TargetKind::Network(network) = &target.kind else { return };
        for url in &network.endpoints {
            let Ok(endpoint) = ParsedEndpoint::parse(url, false) else { continue };
            let port = endpoint.port.unwrap_or(if endpoint.tls { 443 } else { 80 });
            let local = match endpoint.host.parse::<IpAddr>() {
                Ok(address) => address.is_loopback() || address.is_unspecified(),
                Err(_) => endpoint.host == "localhost",
            };
            let door =
                self.listeners().into_iter().filter(|(path, ..)| path[0] == "receivers").find(|(_, host, own)| {
                    let hosts = overlap(host, &endpoint.host) || (is_loopback(host) && local);
                    *own == port && hosts && (local || host == &endpoint.host)
                });
            if let Some((path, ..)) = door {
                let what = format!("`targets.{}` points at this gateway's own `{}`", target.name, path.join("."));
                let mistake = Mistake::new(self.tree.place(&["targets", &target.name, "endpoint"]), what);
                self.report
                    .mistake(mistake.expected("an endpoint elsewhere; what is sent would come in again, for ever"));
                return;
            }
        }
    }

    fn file_target(&self, target: &TargetConfig, file: &FileConfig) {
        let place = self.tree.place(&["targets", &target.name, "path"]);
        let (path, directory) = (volume::absolute(&file.path), volume::absolute(&self.config.queue.directory));
        if path.starts_with(&directory) {
            let what = format!("`targets.{}.path` lies inside `queue.directory`", target.name);
            self.report.mistake(Mistake::new(place, what).expected("a path outside the queue's directory"));
        } else if volume::device(&path).is_some_and(|device| Some(device) == volume::device(&directory)) {
            let what = format!(
                "`targets.{}.path` lies on the volume of `queue.directory`: what it fills is missing for the queue",
                target.name
            );
            self.report.warning(Mistake::new(place, what));
        }
    }

    fn unused(&self, target: &TargetConfig) {
        let used = self
            .config
            .chain
            .signals
            .iter()
            .any(|chain| chain.primary == target.name || chain.fallback.contains(&target.name));
        if !used {
            let what = format!("no chain names `targets.{}`, so that nothing is sent there", target.name);
            self.report.warning(Mistake::new(self.tree.place(&["targets", &target.name]), what));
        }
    }

    fn share_of_the_volume(&self) {
        let queue = &self.config.queue;
        if matches!(queue.max_size, QueueSize::Share(_)) && !volume::is_own(&queue.directory) {
            let what = format!(
                "`queue.max_size` is a share of a volume, but {} lies on the system's: others may fill it",
                queue.directory.display()
            );
            let warning = Mistake::new(self.tree.place(&["queue", "max_size"]), what);
            self.report.warning(warning.expected("a size such as 20GiB, or a volume of its own"));
        }
    }

    fn cluster_name(&self) {
        let name = &self.config.cluster.name;
        if name.is_empty() {
            let what = "`cluster.name` is empty: no x-source-cluster is sent, and resources are not stamped";
            let warning = Mistake::new(self.tree.place(&["cluster", "name"]), what);
            self.report.warning(warning.hint("CLUSTER_NAME in the environment sets it too"));
        } else if !is_usual_name(name) {
            let warning = Mistake::new(self.tree.place(&["cluster", "name"]), format!("`cluster.name` is `{name}`"));
            let form =
                "<provider>-<region>-<purpose>-<number> in small letters and digits, such as aws-eu-west-1-prod-01";
            let why = "it is used as it is, but names of one form can be told apart and sorted where many clusters come together";
            self.report.warning(warning.expected(form).hint(why));
        }
    }
}

/// Whether a cluster is named as is recommended: provider, region, purpose, number. Regions have hyphens of their own.
fn is_usual_name(name: &str) -> bool {
    let parts: Vec<_> = name.split('-').collect();
    let lower = |part: &&str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    parts.len() >= 4 && parts.iter().all(lower) && parts[parts.len() - 1].bytes().all(|c| c.is_ascii_digit())
}

/// Whether one socket at each of two hosts, with the same port, could not be.
fn overlap(one: &str, other: &str) -> bool {
    let any = |host: &str| match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address == Ipv4Addr::UNSPECIFIED,
        Ok(IpAddr::V6(address)) => address == Ipv6Addr::UNSPECIFIED,
        Err(_) => false,
    };
    one == other
        || any(one)
        || any(other)
        || (is_loopback(one) && is_loopback(other) && (one == "localhost" || other == "localhost"))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
