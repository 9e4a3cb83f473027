"""The quota policy `longest-wait` in Python: who has waited longest goes first, a few jobs each."""

import wit_world
from componentize_py_types import Err
from wit_world.imports.quota_types import Answer, Grant, Input, Reason
from wit_world.imports.settings import Description, Setting, SettingDoc, Value_Whole

DEFAULT_JOBS_PER_TURN = 2


class WitWorld(wit_world.WitWorld):
    """The host makes a new instance for every question: what `configure` keeps lives for one `grant`."""

    jobs_per_turn = DEFAULT_JOBS_PER_TURN

    def configure(self, settings: list[Setting]) -> None:
        for setting in settings:
            if setting.name != "jobs_per_turn":
                raise Err(f"`{setting.name}` is no setting of this policy; it takes jobs_per_turn")
            value = setting.value
            if not isinstance(value, Value_Whole) or not 1 <= value.value <= 100:
                raise Err(f"`jobs_per_turn` is {value.value}, and has to be a whole number from 1 to 100")
            self.jobs_per_turn = value.value

    def describe(self) -> Description:
        doc = "jobs for a user before it is the next one's turn, 1 to 100"
        return Description(
            name="longest-wait",
            version="1",
            summary="who has waited longest goes first, a few jobs each",
            settings=[SettingDoc("jobs_per_turn", Value_Whole(DEFAULT_JOBS_PER_TURN), doc)],
            usage_half_life=None,
        )

    def grant(self, input: Input) -> Answer:
        left = min(input.free_slots, max(0, input.max_runs - input.active))
        grants, reasons = [], []
        for user in sorted(input.users, key=lambda user: (-user.oldest_wait_ms, user.id)):
            room = min(user.placeable, max(0, input.runs_per_user - user.active))
            jobs = min(room, self.jobs_per_turn, left)
            if jobs > 0:
                grants.append(Grant(user.id, jobs))
            elif room > 0:
                reasons.append(Reason(user.id, "others have waited longer"))
            left -= jobs
        return Answer(grants, reasons)
