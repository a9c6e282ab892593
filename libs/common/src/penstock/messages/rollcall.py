"""The roll call: what an executor answers when it is asked which attempts it holds.

The question is an empty core message on `penstock.ctl.rollcall` with a reply inbox; every executor
answers it once. An attempt that nobody names has no owner any more.
"""

from penstock.messages.envelope import Wire


class RollCall(Wire, frozen=True, kw_only=True):
    """One executor's answer.

    held: (run, step, attempt) of each attempt that it owes a word about, those included whose
    outcome is on the way. queues: the work queues that it pulls from. free: how many attempts it
    could begin now. capacity: how many it runs at the same time.
    """

    executor_id: str
    held: tuple[tuple[str, str, int], ...] = ()
    queues: tuple[str, ...] = ()
    free: int = 0
    capacity: int = 0
