"""Work left for after the commit, and the table of what beat wakes."""

from celery import current_app
from fastapi import FastAPI
from kombu.exceptions import OperationalError
from sqlalchemy import text
from sqlalchemy.orm import Session

from fleet.db import after_commit
from fleet.worker import SCHEDULE


def test_work_leaves_with_the_outermost_commit_only(session: Session) -> None:
    done: list[str] = []
    with session.begin_nested():
        session.execute(text("SELECT 1"))
        after_commit(session, done.append, "ticket")
    assert done == []
    session.commit()
    session.execute(text("SELECT 1"))
    session.commit()
    assert done == ["ticket"]


def test_what_is_rolled_back_leaves_no_work(session: Session) -> None:
    done: list[str] = []
    session.execute(text("SELECT 1"))
    after_commit(session, done.append, "ticket")
    session.rollback()
    session.execute(text("SELECT 1"))
    session.commit()
    assert done == []


def test_one_broker_error_hides_no_other_work(session: Session) -> None:
    done: list[str] = []

    def fail(_id: str) -> None:
        raise OperationalError

    session.execute(text("SELECT 1"))
    after_commit(session, fail, "a")
    after_commit(session, done.append, "b")
    session.commit()
    assert done == ["b"]


def test_beat_wakes_tasks_that_exist(app: FastAPI) -> None:
    current_app.loader.import_default_modules()
    assert {entry["task"] for entry in SCHEDULE.values()} <= set(current_app.tasks)
