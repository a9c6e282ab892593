"""The topology, held to the rules that the rest relies on."""

from nats.js.api import AckPolicy, PersistMode, RetentionPolicy, StorageType, StreamConfig

from penstock.infra.nats import streams
from penstock.infra.nats.subjects import PARTITIONS


def named(replicas: int = 1) -> dict[str, StreamConfig]:
    return {str(config.name): config for config in streams.streams(replicas)}


def test_logs_of_record_are_immutable_and_heard_live() -> None:
    for name in streams.OF_RECORD:
        config = named()[name]
        assert config.deny_delete
        assert config.deny_purge
        assert config.allow_direct
        assert config.persist_mode is None
        assert config.republish is not None
        assert str(config.republish.dest).startswith("penstock.live.")


def test_the_registry_never_forgets() -> None:
    assert named()[streams.EVENTS].max_age == streams.EVENTS_WINDOW_S
    assert named()[streams.REGISTRY].max_age is None


def test_work_queues_refuse_rather_than_forget() -> None:
    queues = [c for c in named().values() if c.retention == RetentionPolicy.WORK_QUEUE]
    assert {config.name for config in queues} == {"COMMANDS", "REPORTS", "WORK"}
    assert all(config.max_msgs and config.discard == "new" for config in queues)


def test_commands_are_written_before_they_are_acknowledged() -> None:
    hasty = {n for n, c in named().items() if c.persist_mode == PersistMode.ASYNC}
    assert hasty == {"REPORTS", "WORK", "TIMERS", "LOGS"}


def test_replicated_streams_have_no_mode_that_only_single_servers_know() -> None:
    assert all(c.persist_mode is None and c.num_replicas == 3 for c in named(3).values())


def test_everything_survives_the_server() -> None:
    assert all(config.storage == StorageType.FILE for config in named().values())


def test_no_consumer_ever_gives_up_on_a_message() -> None:
    made = list(streams.consumers(["gpu"]))
    assert all(each.config.max_deliver == -1 for each in made)
    assert all(each.config.ack_policy == AckPolicy.EXPLICIT for each in made)
    assert all(each.config.max_ack_pending for each in made)
    names = [each.name for each in made]
    assert len(names) == len(set(names)) == 3 * 16 + 2
    assert "work-shared-gpu" in names


def test_what_a_queue_takes_in_is_what_its_consumers_read() -> None:
    read = {name: set[str]() for name in ("COMMANDS", "REPORTS", "TIMERS")}
    for each in streams.consumers():
        if each.stream in read:
            read[each.stream].add(str(each.config.filter_subject))
    for name, subjects in read.items():
        taken_in = set(named()[name].subjects or [])
        timers_set = {each for each in taken_in if each.startswith("penstock.timer.set.")}
        assert taken_in - timers_set == subjects
        assert len(subjects) == PARTITIONS


def test_work_is_taken_in_for_the_queues_that_are_there() -> None:
    (work,) = [c for c in streams.streams(1, ["gpu"]) if c.name == "WORK"]
    assert work.subjects == ["penstock.work.shared.default.*", "penstock.work.shared.gpu.*"]
    read = {each.config.filter_subject for each in streams.consumers(["gpu"])}
    assert read >= set(work.subjects)


def test_the_default_queue_is_made_once() -> None:
    again = [streams.DEFAULT_QUEUE]
    assert len(list(streams.consumers(again))) == len(list(streams.consumers()))
