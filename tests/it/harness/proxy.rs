//! A line between two of ours that can be cut, delayed and stalled: a TCP proxy that knows no HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::bed::free_address;
use super::process::pass;

/// Between two tries to listen again on an address that was let go of.
const AGAIN: Duration = Duration::from_millis(20);
/// No fuse burns.
const UNLIT: u64 = u64::MAX;

/// Ends with its owner, and every connection with it.
pub struct Proxy {
    pub url: String,
    line: Arc<Line>,
    _tasks: JoinSet<()>,
}

struct Line {
    listens_at: SocketAddr,
    target: SocketAddr,
    weather: watch::Sender<Weather>,
    /// Bytes until the connection that carries the last of them breaks.
    fuse: AtomicU64,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Weather {
    /// Nobody listens, as on a machine whose process has ended.
    refuses: bool,
    /// What is sent arrives only once this is over; connections stay.
    stalled: bool,
    /// Of every piece that is passed on.
    delay: Duration,
    /// Connections of an earlier number are broken.
    cuts: u64,
}

impl Proxy {
    /// A line to `target` (`http://ADDRESS`). Must be made inside a runtime of several threads if its owner blocks.
    pub fn to(target: &str) -> Self {
        let line = Arc::new(Line {
            listens_at: free_address(),
            target: target.strip_prefix("http://").unwrap().parse().unwrap(),
            weather: watch::Sender::default(),
            fuse: UNLIT.into(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(Arc::clone(&line)));
        Self { url: format!("http://{}", line.listens_at), line, _tasks: tasks }
    }

    /// Breaks every connection, at once and without a word.
    pub fn cut(&self) {
        self.line.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Breaks the connection that passes on the `bytes`-th byte from now, in the middle of what it says.
    pub fn cut_after(&self, bytes: u64) {
        self.line.fuse.store(bytes, Ordering::Relaxed);
    }

    /// Nothing arrives until [`Proxy::clear`].
    pub fn stall(&self) {
        self.line.weather.send_modify(|weather| weather.stalled = true);
    }

    /// Everything arrives late until [`Proxy::clear`].
    pub fn delay(&self, delay: Duration) {
        self.line.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Refuses connections until [`Proxy::clear`], and breaks those that are there.
    pub fn refuse(&self) {
        self.line.weather.send_modify(|weather| {
            weather.refuses = true;
            weather.cuts += 1;
        });
    }

    /// As it was made.
    pub fn clear(&self) {
        self.line.fuse.store(UNLIT, Ordering::Relaxed);
        self.line.weather.send_modify(|weather| *weather = Weather { cuts: weather.cuts, ..Weather::default() });
    }
}

async fn serve(line: Arc<Line>) {
    let mut weather = line.weather.subscribe();
    let mut connections = JoinSet::new();
    loop {
        if weather.wait_for(|weather| !weather.refuses).await.is_err() {
            return;
        }
        let Ok(listener) = TcpListener::bind(line.listens_at).await else {
            pass(AGAIN).await;
            continue;
        };
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(connection(Arc::clone(&line), stream));
                    }
                }
                _ended = connections.join_next(), if !connections.is_empty() => {}
                _refuses = weather.wait_for(|weather| weather.refuses) => break,
            }
        }
    }
}

async fn connection(line: Arc<Line>, near: TcpStream) {
    let mut weather = line.weather.subscribe();
    let begun = weather.borrow().cuts;
    // What is left unsent is thrown away, and the other end sees a broken connection instead of an ended one.
    let _ = near.set_zero_linger();
    let passing = async {
        let far = TcpStream::connect(line.target).await?;
        let _ = (near.set_nodelay(true), far.set_nodelay(true), far.set_zero_linger());
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::try_join!(pump(&line, near_in, far_out), pump(&line, far_in, near_out))
    };
    tokio::select! {
        _passed = passing => {}
        _cut = weather.wait_for(|weather| weather.cuts != begun) => {}
    }
}

/// Passes on what comes until either end is done, or the fuse has burnt.
async fn pump(line: &Line, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
    let mut weather = line.weather.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        let delay = weather.wait_for(|weather| !weather.stalled).await.map(|weather| weather.delay).unwrap_or_default();
        if !delay.is_zero() {
            pass(delay).await;
        }
        if read == 0 {
            return to.shutdown().await;
        }
        let passed = line.burn(read as u64) as usize;
        to.write_all(&buffer[..passed]).await?;
        if passed < read {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
    }
}

impl Line {
    /// How many of `bytes` get through: all, or those before the fuse's end, with which it is out.
    fn burn(&self, bytes: u64) -> u64 {
        let burnt = self.fuse.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| match left {
            UNLIT => None,
            left if left < bytes => Some(UNLIT),
            left => Some(left - bytes),
        });
        burnt.map_or(bytes, |left| left.min(bytes))
    }
}
