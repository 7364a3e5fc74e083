//! Metrics in the Prometheus text format, made from snapshots at the scrape.
//!
//! The parts count in [`tally`](crate::tally) and know no names; the names, labels and meanings stand here, a file for
//! each group. Every label value is there from the start, at 0, so that an alert on it works before it first happened.
//! `docs/metrics.md` lists all of them and is held equal by a test.

mod books;
mod chain;
mod clusters;
mod delivery;
mod doors;
mod family;
mod process;
mod queue;
mod registry;

pub use registry::{Registry, RegistryError};
pub(super) use registry::{TEXT_FORMAT, render};

use super::facts::Facts;
use super::view::View;

/// Registers every family. `facts` are told always, the rest once `view` has something to show.
pub(super) fn register<F>(registry: &Registry, facts: Facts, view: F) -> Result<(), RegistryError>
where
    F: Fn() -> Option<View> + Send + Sync + 'static,
{
    let groups = [
        doors::FAMILIES,
        queue::FAMILIES,
        delivery::FAMILIES,
        chain::FAMILIES,
        books::FAMILIES,
        clusters::FAMILIES,
        process::FAMILIES,
    ];
    registry::register(registry, groups.into_iter().flatten().copied(), move |page| {
        let view = view();
        process::fill(page, &facts, view.as_ref().map(|view| &view.reading.reload));
        if let Some(View { reading, outlook, audit }) = view {
            doors::fill(page, &reading.doors);
            queue::fill(page, &reading.queue, &outlook);
            delivery::fill(page, &reading.deliver);
            chain::fill(page, &reading.deliver, &outlook);
            books::fill(page, &reading.queue, &audit);
            clusters::fill(page, &facts.cluster, &reading.doors, &reading.deliver);
        }
    })
}
