//! A listener with threads of its own, which is closed when its owner goes.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Takes connections until it is dropped; then those that are there are closed, too.
pub struct Door {
    listener: TcpListener,
    open: Arc<Mutex<Vec<TcpStream>>>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Each connection is served in a thread of its own, with its number from 1.
    pub fn open(listener: TcpListener, serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Self {
        let open = Arc::new(Mutex::new(Vec::new()));
        let (own, taken, serve) = (listener.try_clone().unwrap(), Arc::clone(&open), Arc::new(serve));
        let thread = std::thread::spawn(move || {
            // Ends with the listener.
            for number in 1.. {
                let Ok((stream, _)) = own.accept() else { return };
                taken.lock().unwrap().extend(stream.try_clone());
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || serve(number, stream));
            }
        });
        Self { listener, open, thread: Some(thread) }
    }

    /// Closes the connections that are there.
    pub fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Whoever waits in accept is told that there is nothing to wait for.
        let _ = nix::sys::socket::shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.cut();
    }
}
