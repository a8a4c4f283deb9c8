"""The desired state in the words of tablets that run no agent of ours: iPadOS and Android."""

from sqlalchemy.orm import Session

from agent.protocol import DesiredState
from fleet.config import FleetConfig
from fleet.configuration import service as configuration
from fleet.devices.models import Device, Platform
from fleet.errors import Conflict
from fleet.platforms import android, apple
from fleet.platforms.android import Wifi
from fleet.schools.models import School
from fleet.schools.names import written

ORGANIZATION = "Préau"
ANDROID_TRIAL = (
    "Réglage d’essai : ce QR installe Test DPC, l’application de démonstration d’Android. Elle prend la tablette en "
    "gestion mais n’applique pas les raccourcis : pour des écoles, nommez votre application (PREAU_ANDROID_DPC_*)."
)
NO_ANDROID_CONTROLLER = (
    "Aucune application de gestion Android n’est choisie : renseignez PREAU_ANDROID_DPC_COMPONENT, "
    "PREAU_ANDROID_DPC_URL et PREAU_ANDROID_DPC_CHECKSUM, puis relancez le contrôleur."
)


def mobileconfig(session: Session, device: Device, config: FleetConfig) -> bytes:
    """The signed profile of an iPad (CMS DER): web clips, and DNS when our service is publicly reachable.

    Raise Conflict for another platform, or while no signing certificate is configured.
    """
    _must_be(device, Platform.IPADOS)
    if config.profile_cert_file is None or config.profile_key_file is None:
        raise Conflict(
            "platforms.no_signing_certificate",
            "Aucun certificat ne signe les profils iPad : renseignez PREAU_PROFILE_CERT_FILE et "
            "PREAU_PROFILE_KEY_FILE, puis relancez le contrôleur.",
        )
    document = unsigned_profile(session, device, config)
    return apple.sign(document, config.profile_cert_file.read_bytes(), config.profile_key_file.read_bytes())


def unsigned_profile(session: Session, device: Device, config: FleetConfig) -> bytes:
    """The same before it is signed: an XML property list."""
    state = configuration.desired_state_for(session, device, config)
    root = f"fr.preau.device.{device.id}"
    content = list(apple.web_clips(root, state.shortcuts))
    if doh := _public_doh(state):
        content.append(apple.dns_settings(root, doh))
    school = _school_of(session, device)
    return apple.profile(
        root,
        name=f"Préau – {written(school.name)}" if school else "Préau",
        organization=ORGANIZATION,
        description="Raccourcis vers l’ENT et navigation sûre.",
        consent=_consent(device, bool(doh)),
        content=content,
    )


def _consent(device: Device, with_dns: bool) -> str:
    dns = " et demande les noms de sites au service de navigation sûre de l’école" if with_dns else ""
    return (
        f"Ce profil ajoute à cet iPad ({device.asset_tag}) les raccourcis de l’espace numérique de travail{dns}. "
        "Il ne lit aucun contenu et ne transmet aucune donnée d’élève. Vous pouvez le retirer dans Réglages."
    )


def android_payload(
    session: Session, device: Device, config: FleetConfig, *, wifi: Wifi | None = None
) -> dict[str, object]:
    """What the QR for one known Android tablet holds.

    Raise Conflict for another platform, or while no device policy controller is configured.
    """
    _must_be(device, Platform.ANDROID)
    state = configuration.desired_state_for(session, device, config)
    extras = {"preau_label": device.label, "preau_asset_tag": device.asset_tag}
    if config.dot_domain:
        extras["preau_private_dns"] = f"{device.label}.{config.dot_domain}"
    return _payload(config, _school_of(session, device), state, extras, wifi)


def android_token_payload(
    session: Session, school: School, token: str, config: FleetConfig, *, wifi: Wifi | None = None
) -> dict[str, object]:
    """What the QR for many Android tablets of one school holds: each enrolls with the token that is inside."""
    state = configuration.school_state_for(session, school.id, config)
    return _payload(config, school, state, {"preau_token": token}, wifi)


def android_problem(config: FleetConfig) -> str | None:
    """Why no Android tablet can be set up here, as a sentence that says what to configure; None when one can."""
    ready = config.android_dpc_component and config.android_dpc_url and config.android_dpc_checksum
    return None if ready else NO_ANDROID_CONTROLLER


def android_trial(config: FleetConfig) -> str | None:
    """What to say beside a QR that installs Android's sample controller, which reads nothing of ours; else None."""
    return ANDROID_TRIAL if config.android_dpc_component == android.TEST_DPC_COMPONENT else None


def _payload(
    config: FleetConfig, school: School | None, state: DesiredState, extras: dict[str, str], wifi: Wifi | None
) -> dict[str, object]:
    if not (config.android_dpc_component and config.android_dpc_url and config.android_dpc_checksum):
        raise Conflict("platforms.no_android_controller", NO_ANDROID_CONTROLLER)
    where = {"preau_url": config.public_url} | ({"preau_school": school.uai} if school else {})
    return android.payload(
        component=config.android_dpc_component,
        download_url=config.android_dpc_url,
        signature_checksum=config.android_dpc_checksum,
        extras=where | extras,
        shortcuts=state.shortcuts,
        wifi=wifi,
    )


def _public_doh(state: DesiredState) -> str:
    template = state.browser.doh_template if state.browser else ""
    return template if configuration.is_public(template) else ""


def _must_be(device: Device, platform: Platform) -> None:
    if device.platform is not platform:
        raise Conflict(
            "platforms.wrong_platform", f"{device.asset_tag} n’est pas un appareil {platform.value} : pas de profil."
        )


def _school_of(session: Session, device: Device) -> School | None:
    return session.get(School, device.school_id) if device.school_id else None
