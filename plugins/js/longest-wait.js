// The quota policy `longest-wait` in JavaScript: who has waited longest goes first, a few jobs each.

const defaultJobsPerTurn = 2n;
// The host makes a new instance for every question: this lives for one `grant`.
let jobsPerTurn = defaultJobsPerTurn;

export function configure(settings) {
  for (const { name, value } of settings) {
    if (name !== "jobs_per_turn") {
      throw `\`${name}\` is no setting of this policy; it takes jobs_per_turn`;
    }
    if (value.tag !== "whole" || value.val < 1n || value.val > 100n) {
      throw `\`jobs_per_turn\` is ${value.val}, and has to be a whole number from 1 to 100`;
    }
    jobsPerTurn = value.val;
  }
}

export function describe() {
  return {
    name: "longest-wait",
    version: "1",
    summary: "who has waited longest goes first, a few jobs each",
    settings: [
      {
        name: "jobs_per_turn",
        default: { tag: "whole", val: defaultJobsPerTurn },
        doc: "jobs for a user before it is the next one's turn, 1 to 100",
      },
    ],
    usageHalfLife: undefined,
  };
}

// Numbers of 64 bits (ids, waits, turns) are BigInt, those of 32 bits are Number.
export function grant(input) {
  let left = Math.min(input.freeSlots, Math.max(0, input.maxRuns - input.active));
  const answer = { grants: [], reasons: [] };
  const order = (a, b) => compare(b.oldestWaitMs, a.oldestWaitMs) || compare(a.id, b.id);
  for (const user of [...input.users].sort(order)) {
    const room = Math.min(user.placeable, Math.max(0, input.runsPerUser - user.active));
    const jobs = Math.min(room, Number(jobsPerTurn), left);
    if (jobs > 0) {
      answer.grants.push({ user: user.id, jobs });
    } else if (room > 0) {
      answer.reasons.push({ user: user.id, text: "others have waited longer" });
    }
    left -= jobs;
  }
  return answer;
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
