//! What is uploaded, and what its script writes down where the server and its clients cannot reach it.

use std::path::Path;

use domain::End;

use crate::harness::Form;

/// A stream of numbers that its seed decides (splitmix64).
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// Streams of one seed are independent of each other, so that one actor's course is the same whatever the others do.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(seed ^ stream.wrapping_mul(0xA076_1D64_78BD_642F))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.within(0..100) < chance
    }
}

/// Of one sign of life of a script.
const STEP_SECONDS: &str = "0.25";

/// One job as it was thought out.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Random, and in everything that the job writes: whose it is can be told wherever it turns up.
    pub token: String,
    pub user: i64,
    /// How its script ends.
    pub end: End,
    /// How long it runs, in signs of life.
    steps: u64,
    /// It leaves a process behind in a session of its own.
    leaves_a_process: bool,
    /// Of its input file, in tokens.
    input_length: u64,
}

impl Plan {
    pub fn draw(random: &mut Random, number: u32, users: u64) -> Self {
        let end = match random.within(0..10) {
            0..=5 => End::Exit(0),
            6 => End::Exit(7),
            7 => End::Exit(i32::try_from(random.within(1..256)).unwrap()),
            8 => End::Signal(9),
            _ => End::Signal(15),
        };
        let steps = match random.within(0..100) {
            0..60 => 0,
            60..85 => random.within(1..3),
            85..97 => random.within(3..8),
            _ => random.within(12..28),
        };
        Self {
            token: format!("{number}-{:016x}", random.next()),
            user: i64::try_from(random.within(1..users + 1)).unwrap(),
            end,
            steps,
            leaves_a_process: random.percent(5),
            input_length: random.within(1..2_000),
        }
    }

    pub fn input(&self) -> String {
        format!("{}\n", self.token).repeat(self.input_length as usize)
    }

    /// What a right `result.txt` says.
    pub fn result(&self, attempt: u32) -> String {
        format!("{} {attempt}\n", self.token)
    }

    pub fn form(&self, record: &Path) -> Form {
        let form = Form::new(self.user).field("labels", &format!("token={}", self.token));
        form.script(&self.script(record)).file("in.txt", self.input())
    }

    fn script(&self, record: &Path) -> String {
        let leave = if self.leaves_a_process { "(setsid sleep 600 > /dev/null 2>&1 &)" } else { "" };
        let end = match self.end {
            End::Signal(signal) => format!("kill -{signal} $$; sleep 60"),
            End::Exit(code) => format!("exit {code}"),
            ref other => panic!("no script ends as {other:?}"),
        };
        format!(
            "say() {{ read -r up _ < /proc/uptime; echo \"{token} $ORCHESTRATOR_ATTEMPT $1 $up\" >> '{record}'; }}\n\
             say begin\n{leave}\necho \"{token} $ORCHESTRATOR_ATTEMPT\" > result.txt\n\
             for ((step = 0; step < {steps}; step++)); do sleep {STEP_SECONDS}; say alive; done\n\
             say end\n{end}",
            token = self.token,
            record = record.display(),
            steps = self.steps,
        )
    }
}

/// What a script said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Begin,
    Alive,
    End,
}

/// A line that a script wrote, among those of all others in the order in which they were written.
#[derive(Debug, Clone)]
pub struct Line {
    pub token: String,
    pub attempt: u32,
    pub said: Said,
    /// Seconds since the machine's start, for who reads a complaint.
    #[expect(dead_code, reason = "read by people, in the text of a complaint")]
    pub uptime: f64,
}

/// Everything that scripts have said.
pub fn lines(record: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(record).unwrap_or_default();
    text.lines().map(line).collect()
}

fn line(text: &str) -> Line {
    let words: Vec<&str> = text.split(' ').collect();
    let [token, attempt, said, uptime] = words[..] else { panic!("not a whole line: {text:?}") };
    let said = match said {
        "begin" => Said::Begin,
        "alive" => Said::Alive,
        "end" => Said::End,
        other => panic!("a script said {other}"),
    };
    Line { token: token.to_owned(), attempt: attempt.parse().unwrap(), said, uptime: uptime.parse().unwrap() }
}
