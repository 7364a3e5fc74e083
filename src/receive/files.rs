//! The files of the doors are looked at now and then: what they hold is in force soon, and what is wrong with them is told
//! soon, whether anybody comes meanwhile or not.
//!
//! It is done on a thread of its own, since a look takes as long as the disk does. Connections and requests take what the last
//! look found, and never wait for one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::auth::Auth;
use super::connection::Door;
use super::stats::Stats;

/// Time between two looks; a rotation may wait that long.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Looks at the files of `auth` and `doors` until `stop` holds true or its sender is gone.
pub(super) async fn follow(
    auth: Arc<Auth>,
    doors: [Option<Arc<Door>>; 2],
    stats: Arc<Stats>,
    mut stop: watch::Receiver<bool>,
) {
    let doors: Arc<[Arc<Door>]> = doors.into_iter().flatten().filter(|door| door.tls.is_some()).collect();
    if doors.is_empty() && auth.files().next().is_none() {
        return;
    }
    loop {
        let (auth, doors, stats) = (Arc::clone(&auth), Arc::clone(&doors), Arc::clone(&stats));
        let looking = spawn_blocking(move || look(&auth, &doors, &stats));
        // A look at a disk that hangs is left behind rather than waited for.
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = looking => {}
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

fn look(auth: &Auth, doors: &[Arc<Door>], stats: &Stats) {
    for (of, watched) in auth.files() {
        stats.looked(of, watched.look());
    }
    for door in doors {
        if let Some(tls) = &door.tls {
            stats.looked(door.transport.files(), tls.config.look());
        }
    }
}
