"""A pool's image changes while tasks wait: new workers take them, old ones leave new tasks alone."""

from tests.integration.worker.rig import Fleet, output

from agentfleet_core.queue.envelope import TaskState


async def test_what_waited_for_an_older_image_is_taken_by_the_current_one(fleet: Fleet) -> None:
    fleet.handler("greet")
    await fleet.publish()
    waited = await fleet.submit("greet", revision="r0", name="Ada")
    async with fleet.worker():
        assert output(await fleet.ended(waited)) == {"greeting": "Hello, Ada"}


async def test_an_older_worker_takes_its_own_and_leaves_what_came_for_a_newer_image(fleet: Fleet) -> None:
    fleet.handler("greet")
    await fleet.publish()
    newer = await fleet.submit("greet", name="Ada")
    own = await fleet.submit("greet", revision="r0", name="Bob")
    async with fleet.worker(revision="r0"):
        assert output(await fleet.ended(own)) == {"greeting": "Hello, Bob"}
        assert (await fleet.record(newer)).state is TaskState.QUEUED
