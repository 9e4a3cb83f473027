//! The engine that all components share, and the ticks by which a call finds out how long it has taken.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use domain::policy::Digest;
use sha2::{Digest as _, Sha256};
use wasmtime::{Config, Engine};

use crate::budget::Budget;
use crate::cache::Cache;
use crate::component::Component;
use crate::error::{EngineError, LoadError};

/// Between two looks at the time of a call.
const TICK: Duration = Duration::from_millis(2);
/// The largest component that is compiled; one in Python has 18 MB.
const COMPONENT_BYTES: usize = 64 << 20;

/// Loads components. Cheap to clone.
#[derive(Clone)]
pub struct PolicyHost {
    pub(crate) engine: Engine,
    pub(crate) budget: Budget,
    pub(crate) ticks: Arc<Ticks>,
    cache: Option<Cache>,
}

impl std::fmt::Debug for PolicyHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyHost").field("budget", &self.budget).finish_non_exhaustive()
    }
}

impl PolicyHost {
    /// With a directory for compiled code, which only this user may be able to write; without one, or where it cannot be
    /// used, everything is compiled each time.
    ///
    /// # Errors
    /// This machine cannot run what the engine compiles.
    pub fn new(budget: Budget, cache: Option<&Path>) -> Result<Self, EngineError> {
        let mut config = Config::new();
        config.consume_fuel(true);
        config.epoch_interruption(true);
        // The same question has the same answer on every machine.
        config.cranelift_nan_canonicalization(true);
        config.wasm_relaxed_simd(false);
        // A guest in an endless recursion is stopped far above the end of the thread's own stack (2 MiB).
        config.max_wasm_stack(512 << 10);
        // Fewer words, and no reading of debug information, for a guest that traps on every tick.
        config.wasm_backtrace_max_frames(None);
        // An instance lives for one call: reserving the usual 4 GiB of addresses for it would cost more than the call.
        config.memory_reservation(budget.memory as u64);
        config.memory_guard_size(64 << 10);
        let engine = Engine::new(&config).map_err(|error| EngineError(one_line(&error)))?;
        let ticks = Ticks::start(&engine);
        let cache = cache.and_then(|directory| Cache::open(directory, &engine));
        Ok(Self { engine, budget, ticks, cache })
    }

    /// The digest by which a component is known.
    #[must_use]
    pub fn digest(bytes: &[u8]) -> Digest {
        Digest::from_bytes(Sha256::digest(bytes).into())
    }

    /// Compiles, or takes compiled code from the cache: some 20 ms for a component written in Rust, seconds for one in
    /// Python or JavaScript. Not to be called where others wait.
    ///
    /// # Errors
    /// It is no policy.
    pub fn load(&self, bytes: &[u8]) -> Result<Arc<Component>, LoadError> {
        if bytes.len() > COMPONENT_BYTES {
            return Err(LoadError::TooLarge { size: bytes.len(), limit: COMPONENT_BYTES });
        }
        let digest = Self::digest(bytes);
        let cached = self.cache.as_ref().and_then(|cache| cache.get(&self.engine, digest));
        let compiled = cached.map_or_else(|| self.compile(bytes, digest), Ok)?;
        Component::new(self.clone(), digest, &compiled).map(Arc::new)
    }

    fn compile(&self, bytes: &[u8], digest: Digest) -> Result<wasmtime::component::Component, LoadError> {
        let compiled = wasmtime::component::Component::from_binary(&self.engine, bytes);
        let compiled = compiled.map_err(|error| LoadError::NotAComponent(one_line(&error)))?;
        if let Some(cache) = &self.cache {
            cache.put(&compiled, digest);
        }
        Ok(compiled)
    }
}

/// An error and its causes on one line.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Moves the engine's epoch on while a call is under way, and rests while none is.
pub(crate) struct Ticks {
    calls: Mutex<u32>,
    begun: Condvar,
}

/// A call under way.
pub(crate) struct Ticking<'a>(&'a Ticks);

impl Ticks {
    /// A thread of its own, outside of any runtime: what it watches over may occupy every thread of that. It ends with
    /// the last engine.
    fn start(engine: &Engine) -> Arc<Self> {
        let ticks = Arc::new(Self { calls: Mutex::new(0), begun: Condvar::new() });
        let (watched, engine) = (Arc::downgrade(&ticks), engine.weak());
        let ticker = move || {
            while let (Some(ticks), Some(engine)) = (Weak::upgrade(&watched), engine.upgrade()) {
                ticks.wait();
                drop(ticks);
                // A little early now and then does no harm.
                std::thread::park_timeout(TICK);
                engine.increment_epoch();
            }
        };
        if let Err(error) = std::thread::Builder::new().name("policy-ticks".to_owned()).spawn(ticker) {
            tracing::error!(%error, "no thread for the deadlines of policies: fuel alone bounds them");
        }
        ticks
    }

    pub(crate) fn call(&self) -> Ticking<'_> {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.begun.notify_one();
        Ticking(self)
    }

    /// Until a call is under way, or for a while, so that the end of the engine is seen.
    fn wait(&self) {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let _woken = self.begun.wait_timeout_while(calls, Duration::from_secs(10), |calls| *calls == 0);
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        *self.0.calls.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}
