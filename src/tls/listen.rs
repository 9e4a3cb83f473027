//! Accepts TLS for poem, whose own way would bring a second cryptography.
//!
//! Handshakes run side by side and have a deadline: one that hangs holds up nobody.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::Acceptor;
use poem::web::{LocalAddr, RemoteAddr};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::runtime::{OnEnd, Tasks};

const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at once; who comes beyond that waits.
const AT_ONCE: usize = 64;

type Accepted = (TlsStream<TcpStream>, LocalAddr, RemoteAddr, Scheme);

/// Connections whose handshake is over.
pub struct Listener {
    address: LocalAddr,
    accepted: mpsc::Receiver<Accepted>,
}

impl Listener {
    /// Takes connections until `tasks` stop.
    ///
    /// # Errors
    /// The socket has no address.
    pub fn new(socket: TcpListener, config: Arc<ServerConfig>, tasks: &Tasks) -> io::Result<Self> {
        let address = LocalAddr(socket.local_addr()?.into());
        let (sender, accepted) = mpsc::channel(AT_ONCE);
        let (tls, stop) = (TlsAcceptor::from(config), tasks.stop().clone());
        let (spawner, local) = (tasks.clone(), address.clone());
        tasks.spawn("tls", OnEnd::Done, async move {
            let room = Arc::new(Semaphore::new(AT_ONCE));
            while let Some(Ok(permit)) = stop.run_until_cancelled(room.clone().acquire_owned()).await {
                let Some(taken) = stop.run_until_cancelled(socket.accept()).await else { break };
                let (stream, peer) = match taken {
                    Ok(taken) => taken,
                    Err(error) => {
                        // No more descriptors, as a rule: there are some when others have ended.
                        tracing::warn!(%error, "a connection was not taken");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                let (tls, sender, local) = (tls.clone(), sender.clone(), local.clone());
                spawner.spawn("handshake", OnEnd::Done, async move {
                    let _permit = permit;
                    match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let _ = sender.send((stream, local, RemoteAddr(peer.into()), Scheme::HTTPS)).await;
                        }
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
                        Err(_) => tracing::debug!(%peer, "the handshake took too long"),
                    }
                });
            }
        });
        Ok(Self { address, accepted })
    }
}

impl Acceptor for Listener {
    type Io = TlsStream<TcpStream>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![self.address.clone()]
    }

    async fn accept(&mut self) -> io::Result<Accepted> {
        match self.accepted.recv().await {
            Some(accepted) => Ok(accepted),
            // Stopping: whoever runs the server has been told too.
            None => std::future::pending().await,
        }
    }
}
