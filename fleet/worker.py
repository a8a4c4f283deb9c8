"""Celery: what happens later. Arguments are ids, every task may run twice, and a sweep finds what was lost."""

import logging
from time import monotonic
from typing import Any

from celery import Celery, Task, current_app, signals
from celery.app.utils import Settings
from celery.schedules import crontab
from kombu.exceptions import OperationalError

from fleet import actors
from fleet.actors import ActorKind, Work
from fleet.broker import mend_redis
from fleet.config import FleetConfig
from fleet.db import connect
from fleet.log import request_id

TASK_MODULES = (
    "fleet.accounts.tasks",
    "fleet.audit.tasks",
    "fleet.checkins.tasks",
    "fleet.enrollment.tasks",
    "fleet.filtering.tasks",
    "fleet.imports.tasks",
    "fleet.jobs.tasks",
    "fleet.tickets.tasks",
)

SCHEDULE = {
    "give out jobs that wait or lost their worker": {
        "task": "fleet.jobs.tasks.sweep_jobs",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "send due ticket mails": {
        "task": "fleet.tickets.tasks.sweep_mails",
        "schedule": 15.0,
        "options": {"expires": 15},  # sweeps that waited for a worker do not pile up
    },
    "send due account mails": {
        "task": "fleet.accounts.tasks.sweep_letters",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "compile what was asked for": {
        "task": "fleet.filtering.tasks.sweep_publications",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "prepare what is to be previewed": {
        "task": "fleet.filtering.tasks.sweep_previews",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "fetch the lists that are due": {
        "task": "fleet.filtering.tasks.sweep_sources",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "tell filters of devices and schools that moved": {
        "task": "fleet.filtering.tasks.sweep_policy",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "compile the lists at night": {
        "task": "fleet.filtering.tasks.publish_nightly",
        "schedule": crontab(hour=2, minute=40),
    },
    "find silent devices": {
        "task": "fleet.checkins.tasks.sweep_silent_devices",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "forget what has expired": {"task": "fleet.accounts.tasks.purge_expired", "schedule": crontab(minute=17)},
    "anchor the audit log": {"task": "fleet.audit.tasks.send_checkpoint", "schedule": crontab(hour=5, minute=10)},
    "forget old audit entries": {"task": "fleet.audit.tasks.purge_entries", "schedule": crontab(hour=4, minute=50)},
    "forget old jobs": {"task": "fleet.jobs.tasks.purge_jobs", "schedule": crontab(minute=47)},
    "forget files that nobody imported": {
        "task": "fleet.imports.tasks.purge_imports",
        "schedule": crontab(minute=57),
    },
    "forget wrong tokens": {"task": "fleet.enrollment.tasks.purge_guesses", "schedule": crontab(minute=27)},
    "forget old counts of filters": {"task": "fleet.filtering.tasks.purge_counts", "schedule": crontab(minute=37)},
}


BROKER_AWAY = 5.0
"""Seconds during which nobody tries a broker again that could not be reached: the sweep comes later anyway."""
_away_until = 0.0


class PromptTask(Task[Any, Any]):
    """A task whose publishing never holds a request: one short attempt, then none for a while."""

    def apply_async(self, *arguments: Any, **options: Any) -> Any:
        """Publish; raise OperationalError when the broker cannot be reached, at once when that is known."""
        global _away_until
        if monotonic() < _away_until:
            raise OperationalError("the broker could not be reached a moment ago")
        try:
            return super().apply_async(*arguments, **options)
        except (OperationalError, OSError):
            _away_until = monotonic() + BROKER_AWAY
            raise


def make_celery(config: FleetConfig) -> Celery[PromptTask]:
    """The Celery application of this process; publishing and working share it."""
    global _away_until
    _away_until = 0.0  # what was known of another application's broker says nothing of this one's
    mend_redis()
    app = Celery("preau", broker=config.broker_url, include=TASK_MODULES, set_as_current=True, task_cls=PromptTask)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
        task_time_limit=1800,
        timezone="Europe/Paris",
        beat_schedule=SCHEDULE,
        beat_schedule_filename="",  # set by `preau beat`
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # A task that runs on while its broker is away is delivered again: all of ours may run twice.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker waits for its broker for ever; 100 times is the default
        # A broker that is down must not hold a request: the sweep finds the work.
        task_publish_retry=False,
        broker_transport_options={
            # A lost worker's task comes back after visibility_timeout (longer than any task may take); those are
            # looked for every interval x throttle seconds.
            "visibility_timeout": 2100,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            # One attempt of half a second to connect (kombu's own default adds up to 6 s), a second for an answer.
            "max_retries": 0,
            "socket_connect_timeout": 0.5,
            "socket_timeout": 1,
        },
    )
    app.conf["preau"] = config
    app.set_default()
    return app


def worker_config() -> FleetConfig:
    """The settings of this process's Celery application: for tasks."""
    config: FleetConfig = current_app.conf["preau"]
    return config


@signals.setup_logging.connect
def keep_our_logs(**_: object) -> None:
    """Celery leaves logging alone once somebody answers this signal; each task's start and end are no news."""
    for name in ("celery.worker.strategy", "celery.app.trace", "celery.beat"):
        logging.getLogger(name).setLevel(logging.WARNING)


@signals.celeryd_init.connect
def wait_longer_as_a_worker(conf: Settings, **_: object) -> None:
    """Nobody waits for a worker: it may give a slow broker time, and blocks longer than a request's second."""
    conf.broker_transport_options = conf.broker_transport_options | {"socket_connect_timeout": 2, "socket_timeout": 10}


@signals.worker_process_init.connect
def open_database(**_: object) -> None:
    """Each forked process has connections of its own: two that share a socket corrupt each other's answers."""
    connect(worker_config().database_url)


@signals.task_prerun.connect
def name_the_work(task_id: str = "", sender: Task[Any, Any] | None = None, **_: object) -> None:
    """Log lines of a task, and entries of what it changes, carry its id, as those of a request carry its own."""
    request_id.set(task_id)
    name = sender.name if sender is not None else None
    actors.current.set(Work(ActorKind.JOB, task_id, name, request_id=task_id, operation=name))


@signals.task_postrun.connect
def forget_the_work(**_: object) -> None:
    request_id.set(None)
    actors.current.set(None)
