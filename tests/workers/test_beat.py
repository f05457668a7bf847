"""What beat publishes is what workers read: else nothing that is scheduled is ever done."""

import base64
import json

import pytest
import redis
from celery import Celery
from celery.beat import Scheduler

import workers.tasks  # noqa: F401  # beat knows the tasks, and publishes them otherwise than somebody who does not
from billing.config import Settings
from workers.configuration import celery_settings
from workers.envelope import complaint, complaint_about_item
from workers.schedule import ENTRIES, Entry


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_tick_is_a_message_of_ours(settings: Settings, entry: Entry) -> None:
    app = Celery("billing", set_as_current=False)
    app.conf.update(celery_settings(settings))
    app.finalize()
    assert entry.message.task in app.tasks
    scheduler = Scheduler(app, lazy=True)
    scheduler.merge_inplace(app.conf.beat_schedule)
    scheduler.apply_async(scheduler.schedule[entry.name])
    app.close()
    with redis.Redis.from_url(settings.broker_url) as client:
        item = client.rpop(entry.message.queue)
    assert isinstance(item, bytes)
    assert complaint_about_item(item) is None
    raw = json.loads(item)
    assert complaint(raw["headers"], raw["content-type"], base64.b64decode(raw["body"])) is None
