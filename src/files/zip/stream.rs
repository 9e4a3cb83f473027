//! A zip that is made while it is read, for a body whose length nobody knows yet.

use std::io::{self, Write};
use std::mem;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;
use zip::ZipWriter;

use super::pack::{Source, pack};

/// Bytes of a chunk, and chunks that wait for a slow reader.
const CHUNK: usize = 64 * 1024;
const WAITING: usize = 4;

/// Packs as the stream is read. Must be called in a tokio runtime. If the reader goes away the packing ends; an error
/// ends the stream in the middle.
pub fn stream(source: Source) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let (sender, mut receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let writer = Chunks { sender: sender.clone(), gathered: Vec::with_capacity(CHUNK) };
        let packed = pack(&source, ZipWriter::new_stream(writer)).map_err(io::Error::from);
        if let Err(error) = packed.and_then(|(_, writer)| writer.into_inner().flush()) {
            // A reader that is gone does not want to know.
            let _ = sender.blocking_send(Err(error));
        }
    });
    futures_util::stream::poll_fn(move |context| receiver.poll_recv(context))
}

struct Chunks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    gathered: Vec<u8>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.gathered.len());
        self.gathered.extend_from_slice(&bytes[..taken]);
        if self.gathered.len() == CHUNK {
            self.send()?;
        }
        Ok(taken)
    }

    /// The writer of zips flushes after each entry; chunks are sent when they are full, and the last one at the end.
    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Chunks {
    fn send(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let chunk = mem::replace(&mut self.gathered, Vec::with_capacity(CHUNK));
        self.sender.blocking_send(Ok(chunk.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
