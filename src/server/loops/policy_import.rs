//! The folder of policies: a change in it, also one made while the server was down, becomes one request.
//!
//! A look costs a call to the kernel for each file. What is being written, copied or switched is left alone until it has
//! been quiet for a while, so that a component and its settings come together.

use std::time::{Duration, Instant};

use crate::runtime::{Loop, Next};
use crate::server::operations::policy::{Import, ImportError, Stamps};
use crate::server::parts::Parts;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Between two looks at what changes.
const SOON: Duration = Duration::from_millis(100);
/// Without a change for so long, what is there is whole.
const QUIET: Duration = Duration::from_millis(300);

/// The loop.
pub struct PolicyImport {
    parts: Parts,
    import: Import,
    /// What was seen last, and since when.
    seen: Option<(Stamps, Instant)>,
    /// What was asked for, or turned out to have been asked for before.
    done: Option<Stamps>,
}

impl PolicyImport {
    /// `None` where no folder is configured.
    #[must_use]
    pub fn new(parts: &Parts) -> Option<Self> {
        let folder = parts.settings.policies.clone()?;
        let import = Import::new(folder, &parts.settings.data_dir);
        Some(Self { parts: parts.clone(), import, seen: None, done: None })
    }
}

impl Loop for PolicyImport {
    type Error = ImportError;

    fn name(&self) -> String {
        "policy import".to_owned()
    }

    async fn run_once(&mut self) -> Result<Next, ImportError> {
        let now = tokio::task::block_in_place(|| self.import.look())?;
        if self.done.as_ref() == Some(&now) {
            return Ok(Next::After(LOOK));
        }
        match &self.seen {
            Some((seen, since)) if *seen == now => {
                if since.elapsed() < QUIET {
                    return Ok(Next::After(SOON));
                }
            }
            _ => {
                self.seen = Some((now, Instant::now()));
                return Ok(Next::After(SOON));
            }
        }
        self.import.ask(&self.parts.policies, &self.parts.services, &self.parts.store).await?;
        // What changed meanwhile is another change.
        self.done = Some(now);
        Ok(Next::After(LOOK))
    }
}
