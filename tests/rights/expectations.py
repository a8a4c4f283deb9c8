"""What each route is for: who may call it, which rows its address and its body name. A route that is missing fails.

Who may read which rows is not said here but in tests.rights.world, once for all routes.
"""

from collections.abc import Mapping

from tests.rights.calling import LATER, SOON, TEXT, Call, Who, files, program, public, seen, sent, staff, verbs
from tests.rights.expectations_of_accounts import ACCOUNTS
from tests.rights.expectations_of_filtering import FILTERING

ENTRIES = (1, 40, 80, 120, 160)
"""Numbers of some of the entries that the making of the world left, whosever they are."""
OPENING = {"kind": "incident", "subject": "school", "title": "Essai", "description": "Essai"}

FLEET: Mapping[str, tuple[Call, ...]] = {
    # Programs, and what anybody may open
    "GET /health/live": public(),
    "GET /health/ready": public(),
    "GET /metrics": program(),
    "GET /api/v1/openapi.json": public(),
    "GET /agent/v1/ca": public(),
    "GET /agent/v1/preau-agent.pyz": public(),
    "POST /agent/v1/checkins": program(x=1),
    "POST /agent/v1/enrollments": program(x=1),
    "GET /filter/v1/names": program(),
    "GET /filter/v1/policy": program(),
    "GET /filter/v1/names/delta": (Call(Who.PROGRAM, query="from=a.1"),),
    "GET /filter/v1/previews/{preview_id}": program(),
    "GET /filter/v1/previews/{preview_id}/names": program(),
    "GET /filter/v1/previews/{preview_id}/policy": program(),
    "POST /filter/v1/previews/{preview_id}/answer": program(x=1),
    "POST /filter/v1/reports": program(x=1),
    "POST /filter/v1/requests": program(x=1),
    "GET /enroll": public(),
    "POST /enroll": public(token="ABCD-EFGH-JKMN", attempt="0" * 32),
    # Places
    "GET /api/v1/collectivities": seen("search=zzn&size=500"),
    "GET /api/v1/collectivities/export.{extension}": files("/api/v1/collectivities/export"),
    "GET /api/v1/collectivities/{collectivity_id}": seen(),
    "GET /api/v1/schools": seen(f"search={TEXT}&size=500", "collectivity_id={collectivity}"),
    "GET /api/v1/schools/export.{extension}": files("/api/v1/schools/export", "", "collectivity_id={collectivity}"),
    "GET /api/v1/schools/{school_id}": seen(),
    "GET /collectivities": seen("q=zzn"),
    "GET /collectivities.{extension}": files("/collectivities"),
    "GET /collectivities/{collectivity_id}": seen(),
    "GET /schools": seen(f"q={TEXT}", "collectivity={collectivity}", "state=all"),
    "GET /schools.{extension}": files("/schools", "", "collectivity={collectivity}"),
    "GET /schools/{school_id}": seen(),
    # Looking for places, and what a person keeps of it
    "GET /search": seen(f"q={TEXT}", "q=zzn"),
    "POST /saved-filters": sent(list="devices", name="essai", query="q=essai"),
    "POST /saved-filters/{filter_id}/remove": (Call(path="/saved-filters/{saved_filter}/remove", body={}),),
    # Jobs, and the files that they take
    "GET /api/v1/jobs": seen(f"search={TEXT}&size=500"),
    "GET /api/v1/jobs/{job_id}": seen(),
    "POST /api/v1/jobs/{job_id}/cancel": sent(),
    "POST /api/v1/jobs/{job_id}/retry": (Call(path="/api/v1/jobs/{failed_job}/retry", body={}),),
    "GET /jobs": seen(f"q={TEXT}"),
    "GET /jobs/{job_id}": seen(),
    "POST /jobs/{job_id}/cancel": sent(),
    "POST /jobs/{job_id}/retry": (Call(path="/jobs/{failed_job}/retry", body={}),),
    "POST /api/v1/imports": (Call(Who.STAFF, body={"kind": "communes"}),),
    "GET /api/v1/imports/{import_id}": seen(),
    "PUT /api/v1/imports/{import_id}/mapping": sent(mapping={}),
    "POST /api/v1/imports/{import_id}/check": sent(),
    "POST /api/v1/imports/{import_id}/apply": sent(),
    "GET /imports": staff(),
    "POST /imports": staff(kind="communes"),
    "GET /imports/{import_id}": staff(),
    "GET /imports/{import_id}/report.csv": staff(),
    "POST /imports/{import_id}/mapping": staff(**{"column-insee_code": "code"}),
    "POST /imports/{import_id}/apply": staff(x="1"),
    # Grants
    "GET /api/v1/grants": staff("search=zz"),
    "GET /api/v1/grants/{grant_id}": staff(),
    "POST /api/v1/grants": (
        Call(
            Who.STAFF,
            body={"to_collectivity_id": "{own.collectivity}", "school_id": "{school}", "ends_at": LATER, "reason": "x"},
        ),
        Call(
            Who.STAFF,
            body={"to_school_id": "{school}", "collectivity_id": "{own.collectivity}", "ends_at": LATER, "reason": "x"},
        ),
    ),
    "POST /api/v1/grants/{grant_id}/end": staff(),
    "GET /grants": staff("q=zz&state=all"),
    "GET /grants.csv": staff(),
    "GET /grants/new": staff(),
    "POST /grants/new": staff(to="T0001", node="x", ends="2026-12-20T10:00", reason="x"),
    "POST /grants/{grant_id}/end": staff(x="1"),
    # Audit
    "GET /api/v1/audit": seen("search=zz&size=500"),
    "GET /api/v1/audit/{entry_id}": tuple(Call(path=f"/api/v1/audit/{number}") for number in ENTRIES),
    "GET /journal": seen("q=zz"),
    "GET /journal.csv": seen(),
    "GET /journal/{entry_id}": tuple(Call(path=f"/journal/{number}") for number in ENTRIES),
    # ENT and configuration
    "GET /api/v1/ent": seen(),
    "GET /api/v1/ent/schools/{school_id}": seen(),
    "PUT /api/v1/ent/schools/{school_id}": sent(portal=None),
    "GET /api/v1/configuration": seen("school_id={school}", "device_id={device}"),
    "PUT /api/v1/configuration/{resource}": (
        Call(path="/api/v1/configuration/dns", query="school_id={school}", body={"value": {"managed": False}}),
        Call(path="/api/v1/configuration/dns", query="device_id={device}", body={"value": {"managed": False}}),
        Call(path="/api/v1/configuration/dns", body={"value": {"managed": False}}),
    ),
    "DELETE /api/v1/configuration/{resource}": (
        Call(path="/api/v1/configuration/browser", query="school_id={school}"),
        Call(path="/api/v1/configuration/browser", query="device_id={device}"),
    ),
    # Devices
    "GET /api/v1/devices": seen(f"search={TEXT}&size=500", "school_id={school}", "collectivity_id={collectivity}"),
    "GET /api/v1/devices/export.{extension}": files("/api/v1/devices/export", "", "school_id={school}"),
    "GET /api/v1/devices/{device_id}": seen(),
    "GET /api/v1/devices/{device_id}/events": seen(),
    "POST /api/v1/devices": sent(kind="tablet", name="essai", school_id="{school}"),
    "PATCH /api/v1/devices/{device_id}": sent(room="essai"),
    "POST /api/v1/devices/{device_id}/move": (
        Call(body={"school_id": "{own2.school}"}),
        Call(path="/api/v1/devices/{own1.device}/move", body={"school_id": "{school}"}),
    ),
    "POST /api/v1/devices/{device_id}/status": sent(status="retired"),
    "GET /devices": seen(f"q={TEXT}", "school={school}", "collectivity={collectivity}"),
    "GET /devices.{extension}": files("/devices", "", "school={school}"),
    "GET /devices/new": seen("school={school}"),
    "GET /devices/{device_id}": seen(),
    "GET /devices/{device_id}/move": seen(f"q={TEXT}"),
    "POST /devices/new": sent(school="{school}", what="tablet:ipados", name="essai"),
    "POST /devices/{device_id}/edit": sent(name="essai"),
    "POST /devices/{device_id}/profile": sent(),
    "POST /devices/{device_id}/status": sent(status="lost"),
    "POST /devices/{device_id}/move": (
        Call(body={"school": "{own2.school}"}),
        Call(path="/devices/{own1.device}/move", body={"school": "{school}"}),
    ),
    # Enrolment
    "GET /api/v1/enrollment/tokens": seen("size=500", "school_id={school}"),
    "POST /api/v1/enrollment/tokens": sent(school_id="{school}", kind="display"),
    "POST /api/v1/enrollment/tokens/{token_id}/revoke": sent(),
    "POST /api/v1/enrollment/profiles": sent(device_id="{device}"),
    "GET /enrollment": seen("school={school}"),
    "POST /enrollment": sent(school="{school}", what="display:linux", uses="1", expiry="60"),
    "POST /enrollment/{token_id}/revoke": sent(),
    # Tickets
    "GET /api/v1/tickets": seen(
        f"search={TEXT}&size=500",
        "school_id={school}",
        "device_id={device}",
        "collectivity_id={collectivity}",
    ),
    "GET /api/v1/tickets/export.{extension}": files("/api/v1/tickets/export", "", "school_id={school}"),
    "GET /api/v1/tickets/{ticket_id}": seen(),
    "GET /api/v1/tickets/{ticket_id}/mails": seen(),
    "POST /api/v1/tickets": (
        Call(body=OPENING | {"school_id": "{school}"}),
        Call(body=OPENING | {"subject": "device", "device_id": "{device}"}),
        Call(body=OPENING | {"subject": "ent", "collectivity_id": "{collectivity}"}),
        Call(body=OPENING | {"school_id": "{school}", "device_id": "{own1.device}"}),
    ),
    "POST /api/v1/tickets/{ticket_id}/assign": sent(to_id="{all.user-looking technician}"),
    "POST /api/v1/tickets/{ticket_id}/plan": sent(planned_for=SOON),
    "POST /api/v1/tickets/{ticket_id}/hold": sent(note="x"),
    "POST /api/v1/tickets/{ticket_id}/resume": sent(),
    "POST /api/v1/tickets/{ticket_id}/solve": sent(resolution="x"),
    "POST /api/v1/tickets/{ticket_id}/close": sent(note="x"),
    "POST /api/v1/tickets/{ticket_id}/reopen": sent(note="x"),
    "POST /api/v1/tickets/{ticket_id}/follow-ups": sent(body="x"),
    "GET /tickets": seen(f"q={TEXT}", "school={school}", "status=all"),
    "GET /tickets.{extension}": files("/tickets"),
    "GET /tickets/{ticket_id}": seen(),
    "GET /tickets/new": seen("school={school}", "device={device}", "collectivity={collectivity}", f"q={TEXT}"),
    "POST /tickets/new": (
        Call(body=OPENING | {"school": "{school}"}),
        Call(body=OPENING | {"subject": "device", "device": "{device}"}),
        Call(body=OPENING | {"subject": "ent", "collectivity": "{collectivity}"}),
    ),
    "POST /tickets/{ticket_id}/{verb}": verbs(
        assign={"to": "{all.user-looking technician}"},
        plan={"planned_for": "2026-11-25T10:00"},
        hold={"hold_note": "x"},
        resume={},
        solve={"resolution": "x"},
        close={"close_note": "x"},
        reopen={"reopen_note": "x"},
        follow_up={"body": "x"},
    ),
}
CALLS: Mapping[str, tuple[Call, ...]] = {**FLEET, **ACCOUNTS, **FILTERING}
"""Method and address -> how it is called. HEAD is GET without its body."""
