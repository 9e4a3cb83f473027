//! What may be and what may not be in the history of a run. Pure: the same history, the same complaints.
//!
//! Three witnesses that know nothing of each other: who uploaded (what was acknowledged), the scripts (what really ran,
//! in one file, so in one order), and the server (what it believes). The driver adds what it did to whom, and what it
//! found on the disks in the end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use domain::{End, OnContactLost};

use super::plan::{Line, Plan, Said};

/// From the end of a client's absence until no loss by it can be recorded any more: a call of the server's was under way.
const UNDER_WAY_MS: i64 = 1_000;
/// The same of an attempt that stopped by itself, which is heard once the client is met again: the server's longest pause
/// between two tries, and a fetch.
const MET_AGAIN_MS: i64 = 8_000;
/// What separates the wall clocks of two processes' readings.
const READING_MS: i64 = 50;
/// The server's word for an attempt that ended without an end of its script.
const CUT_OFF: &str = "cut-off";
/// A client that answers at least this often is there.
const PRESENT_MS: i64 = 1_000;

/// What holds in a run.
#[derive(Debug, Clone)]
pub struct Rules {
    /// With `Finish` an attempt that was given up may run beside its successor; with `Stop` no two ever do.
    pub on_contact_lost: OnContactLost,
    pub runs_per_user: usize,
    pub max_runs: usize,
    pub lost_after_ms: i64,
}

/// One that the server may have taken: it was sent, or its connection stood.
#[derive(Debug, Clone)]
pub struct Upload {
    pub plan: Plan,
    /// The id of a 201 that was read whole.
    pub acknowledged: Option<i64>,
}

/// A job as the server tells of it in the end.
#[derive(Debug, Clone, Default)]
pub struct Job {
    pub id: i64,
    pub token: String,
    pub status: String,
    pub outcome: Option<(String, Option<i64>)>,
    pub attempt: u32,
    pub steps: Vec<Step>,
    pub results: Option<Results>,
}

/// One row of a job's history.
#[derive(Debug, Clone)]
pub struct Step {
    /// Wall clock, in milliseconds.
    pub at: i64,
    pub from: String,
    pub to: String,
    pub attempt: u32,
    pub client: String,
    pub code: String,
}

/// The downloaded zip's contents.
#[derive(Clone)]
pub struct Results {
    pub input: String,
    pub result: String,
}

/// Without the input, which is long.
impl fmt::Debug for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} and {} bytes of input", self.result, self.input.len())
    }
}

/// A client that was killed: from then until it was ready again it did not answer.
#[derive(Debug, Clone)]
pub struct Absence {
    pub client: String,
    pub from: i64,
    pub until: i64,
}

/// A client answered within a second, at this time.
#[derive(Debug, Clone)]
pub struct Answered {
    pub client: String,
    pub at: i64,
}

/// What is on the disks once everything has ended.
#[derive(Debug, Clone, Default)]
pub struct Left {
    /// Whose payloads the server has, by token.
    pub payloads: Vec<String>,
    /// Whose results.
    pub results: Vec<String>,
    /// What nobody should have: directories of attempts on clients, half files, what belongs to no job.
    pub rest: Vec<String>,
}

/// All that was recorded of a run.
#[derive(Debug, Clone)]
pub struct History {
    pub rules: Rules,
    pub uploads: Vec<Upload>,
    pub jobs: Vec<Job>,
    pub lines: Vec<Line>,
    pub absences: Vec<Absence>,
    pub answers: Vec<Answered>,
    pub left: Left,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    pub rule: Rule,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    Acknowledged,
    OncePerUpload,
    EndsAsItsScript,
    OwnResults,
    OneRunPerAttempt,
    RepeatedOnlyWhenLost,
    LostOnlyWithItsClient,
    NoOverlap,
    Peak,
    NothingLeft,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.text)
    }
}

/// Everything that is wrong with a history; empty is what it should be.
pub fn judge(history: &History) -> Vec<Complaint> {
    let court = Court::of(history);
    let mut complaints = Vec::new();
    let mut hear = |rule, found: Vec<String>| complaints.extend(found.into_iter().map(|text| Complaint { rule, text }));
    hear(Rule::Acknowledged, court.acknowledged());
    hear(Rule::OncePerUpload, court.once_per_upload());
    hear(Rule::EndsAsItsScript, court.ends_as_its_script());
    hear(Rule::OwnResults, court.own_results());
    hear(Rule::OneRunPerAttempt, court.one_run_per_attempt());
    hear(Rule::RepeatedOnlyWhenLost, court.repeated_only_when_lost());
    hear(Rule::LostOnlyWithItsClient, court.lost_only_with_its_client());
    hear(Rule::NoOverlap, court.no_overlap());
    hear(Rule::Peak, court.peak());
    hear(Rule::NothingLeft, court.nothing_left());
    complaints
}

/// Attempts that the server gave up, with their clients.
pub fn losses(job: &Job) -> impl Iterator<Item = &Step> {
    let given_up = |step: &&Step| {
        let was_there = ["Submitted", "Running", "Unknown"].contains(&step.from.as_str());
        was_there && (step.to == "Queued" || (step.to == "Failed" && job.kind() == "retries-spent"))
    };
    job.steps.iter().filter(given_up)
}

impl Job {
    fn kind(&self) -> &str {
        self.outcome.as_ref().map_or("", |(kind, _)| kind.as_str())
    }

    /// Steps that ended the attempt without an end of its script.
    fn given_up(&self, attempt: u32) -> Option<&Step> {
        self.steps.iter().find(|step| step.attempt == attempt && step.to == "Queued" && step.from != "Queued")
    }
}

/// What one attempt's script said, by the places of its lines.
struct Run<'a> {
    token: &'a str,
    attempt: u32,
    begins: Vec<usize>,
    ends: Vec<usize>,
    last: usize,
}

struct Court<'a> {
    history: &'a History,
    plans: HashMap<&'a str, &'a Plan>,
    jobs: HashMap<&'a str, &'a Job>,
    runs: BTreeMap<(&'a str, u32), Run<'a>>,
}

impl<'a> Court<'a> {
    fn of(history: &'a History) -> Self {
        let mut runs: BTreeMap<(&str, u32), Run> = BTreeMap::new();
        for (place, line) in history.lines.iter().enumerate() {
            let run = runs.entry((&line.token, line.attempt)).or_insert_with(|| Run {
                token: &line.token,
                attempt: line.attempt,
                begins: Vec::new(),
                ends: Vec::new(),
                last: place,
            });
            run.last = place;
            match line.said {
                Said::Begin => run.begins.push(place),
                Said::End => run.ends.push(place),
                Said::Alive => {}
            }
        }
        Self {
            plans: history.uploads.iter().map(|upload| (upload.plan.token.as_str(), &upload.plan)).collect(),
            jobs: history.jobs.iter().map(|job| (job.token.as_str(), job)).collect(),
            runs,
            history,
        }
    }

    /// What was acknowledged is there, under the number that was told.
    fn acknowledged(&self) -> Vec<String> {
        let lost = |upload: &&Upload| {
            let job = self.jobs.get(upload.plan.token.as_str());
            upload.acknowledged.is_some_and(|id| job.is_none_or(|job| job.id != id))
        };
        let lost = self.history.uploads.iter().filter(lost);
        lost.map(|upload| format!("{upload:?} was acknowledged and is not there")).collect()
    }

    fn once_per_upload(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let again =
            self.history.jobs.iter().filter(|job| !seen.insert(&job.token) || !self.plans.contains_key(&*job.token));
        again.map(|job| format!("nobody uploaded job {} (again): {}", job.id, job.token)).collect()
    }

    fn ends_as_its_script(&self) -> Vec<String> {
        let mut found = Vec::new();
        for job in &self.history.jobs {
            let Some(plan) = self.plans.get(job.token.as_str()) else { continue };
            let seen = (job.status.as_str(), job.kind(), job.outcome.as_ref().and_then(|(_, value)| *value));
            let right = match plan.end {
                End::Exit(0) => ("Completed", "", None),
                End::Exit(code) => ("Failed", "exit", Some(i64::from(code))),
                End::Signal(signal) => ("Failed", "signal", Some(i64::from(signal))),
                _ => continue,
            };
            if seen != right {
                found.push(format!("job {} should be {right:?}: {job:?}", job.id));
            }
        }
        found
    }

    /// Results are of that job and of the attempt that counts.
    fn own_results(&self) -> Vec<String> {
        let mut found = Vec::new();
        for job in &self.history.jobs {
            let Some(plan) = self.plans.get(job.token.as_str()) else { continue };
            match &job.results {
                Some(results) if results.input == plan.input() && results.result == plan.result(job.attempt) => {}
                Some(_) => found.push(format!("the results of job {} are not its own: {job:?}", job.id)),
                None => found.push(format!("job {} has no results: {job:?}", job.id)),
            }
        }
        found
    }

    /// No attempt runs twice, the one that counts ran to its end, and nothing runs that is no job.
    fn one_run_per_attempt(&self) -> Vec<String> {
        let mut found = Vec::new();
        for run in self.runs.values() {
            if run.begins.len() != 1 || run.ends.len() > 1 {
                let (begins, ends) = (run.begins.len(), run.ends.len());
                found
                    .push(format!("attempt {} of {} began {begins} times, ended {ends} times", run.attempt, run.token));
            }
            if !self.jobs.contains_key(run.token) {
                found.push(format!("{} ran and is no job", run.token));
            }
        }
        for job in &self.history.jobs {
            let counts = self.runs.get(&(job.token.as_str(), job.attempt));
            if counts.is_none_or(|run| run.ends.len() != 1) {
                found.push(format!("the attempt of job {} that counts did not run to its end: {job:?}", job.id));
            }
        }
        found
    }

    /// An attempt that began and does not count was given up while its client was away.
    fn repeated_only_when_lost(&self) -> Vec<String> {
        let mut found = Vec::new();
        for run in self.runs.values() {
            let Some(job) = self.jobs.get(run.token).filter(|job| job.attempt != run.attempt) else { continue };
            let given_up = job.given_up(run.attempt);
            if given_up.is_none_or(|step| self.absence(step).is_none()) {
                found.push(format!("attempt {} of job {} ran, and ran again as another: {job:?}", run.attempt, job.id));
            }
        }
        found
    }

    /// The absence that explains a loss: the client was killed long enough before, and not back.
    fn absence(&self, loss: &Step) -> Option<usize> {
        let Rules { on_contact_lost, lost_after_ms, .. } = self.history.rules;
        self.history.absences.iter().position(|absence| {
            let given_up =
                loss.at - absence.from >= lost_after_ms - READING_MS && loss.at <= absence.until + UNDER_WAY_MS;
            // At least as long as the client was away without its server's word, less the pause before the last one.
            let stopped = on_contact_lost == OnContactLost::Stop
                && loss.code == CUT_OFF
                && absence.until - absence.from >= lost_after_ms / 4
                && (absence.until..=absence.until + MET_AGAIN_MS).contains(&loss.at);
            absence.client == loss.client && (given_up || stopped)
        })
    }

    /// A loss is declared at most once per job and kill of its client, and never while the client answers.
    fn lost_only_with_its_client(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for job in &self.history.jobs {
            for loss in losses(job) {
                match self.absence(loss) {
                    None => found.push(format!("job {}: {loss:?}, while its client was there", job.id)),
                    Some(kill) if !seen.insert((job.id, kill)) => {
                        found.push(format!("job {} was lost twice by one kill: {job:?}", job.id));
                    }
                    Some(_) if loss.code != CUT_OFF && self.is_present(loss) => {
                        found.push(format!("job {}: {loss:?}, while its client answered", job.id));
                    }
                    Some(_) => {}
                }
            }
        }
        found
    }

    /// Whether the client answered all the time before a loss, with no pause longer than a second.
    fn is_present(&self, loss: &Step) -> bool {
        let begin = loss.at - self.history.rules.lost_after_ms;
        let answers = self.history.answers.iter().filter(|answer| answer.client == loss.client);
        let mut times: Vec<i64> = answers.map(|answer| answer.at).filter(|at| (begin..=loss.at).contains(at)).collect();
        times.extend([begin, loss.at]);
        times.sort_unstable();
        times.windows(2).all(|pair| pair[1] - pair[0] <= PRESENT_MS)
    }

    /// Runs that count for overlaps and peaks: all, or those that were not given up.
    fn binding(&self) -> impl Iterator<Item = &Run<'a>> {
        let all = self.history.rules.on_contact_lost == OnContactLost::Stop;
        let kept =
            move |run: &&Run| all || self.jobs.get(run.token).is_none_or(|job| job.given_up(run.attempt).is_none());
        self.runs.values().filter(kept)
    }

    fn no_overlap(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut earlier: Option<&Run> = None;
        // In the order of token and attempt.
        for run in self.binding() {
            let before = earlier.filter(|before| before.token == run.token);
            if let (Some(before), Some(begin)) = (before, run.begins.first())
                && before.last > *begin
            {
                found.push(format!("attempts {} and {} of {} overlap", before.attempt, run.attempt, run.token));
            }
            earlier = before.filter(|before| before.last > run.last).or(Some(run));
        }
        found
    }

    /// The most that ran at once, of each user and in all, is within the limits.
    fn peak(&self) -> Vec<String> {
        let mut changes = Vec::new();
        for run in self.binding() {
            let Some(plan) = self.plans.get(run.token) else { continue };
            let begin = run.begins.first().copied().unwrap_or(run.last);
            changes.extend([(begin, plan.user, true), (run.last, plan.user, false)]);
        }
        // Stable: a run that said one thing only begins before it ends.
        changes.sort_by_key(|(place, ..)| *place);
        let (mut all, mut most, mut users) = (0_usize, 0, BTreeMap::<i64, (usize, usize)>::new());
        for (_, user, begins) in changes {
            let (now, peak) = users.entry(user).or_default();
            let step = |count: usize| if begins { count + 1 } else { count - 1 };
            (*now, all) = (step(*now), step(all));
            (*peak, most) = ((*peak).max(*now), most.max(all));
        }
        let Rules { runs_per_user, max_runs, .. } = self.history.rules;
        let mut found: Vec<_> = users
            .iter()
            .filter(|(_, (_, peak))| *peak > runs_per_user)
            .map(|(user, (_, peak))| format!("user {user} had {peak} at once, allowed are {runs_per_user}"))
            .collect();
        if most > max_runs {
            found.push(format!("{most} ran at once, allowed are {max_runs}"));
        }
        found
    }

    /// The server has the payload and the results of every job, once, and nobody has anything else.
    fn nothing_left(&self) -> Vec<String> {
        let left = &self.history.left;
        let mut found = left.rest.clone();
        for (what, have) in [("payload", &left.payloads), ("results", &left.results)] {
            let mut counts: BTreeMap<&str, i32> = self.jobs.keys().map(|token| (*token, -1)).collect();
            for token in have {
                *counts.entry(token).or_default() += 1;
            }
            let wrong = counts.into_iter().filter(|(_, more)| *more != 0);
            found.extend(wrong.map(|(token, more)| format!("{more:+} {what} of {token}")));
        }
        found
    }
}
