"""How kinds, platforms, statuses and events of devices are called in French."""

from fleet.devices.models import DeviceKind, DeviceStatus, Platform

KINDS: dict[DeviceKind, str] = {
    DeviceKind.DISPLAY: "Écran interactif",
    DeviceKind.TABLET: "Tablette",
    DeviceKind.LAPTOP: "Ordinateur portable",
    DeviceKind.DESKTOP: "Ordinateur fixe",
    DeviceKind.GATEWAY: "Passerelle",
    DeviceKind.VIDEO_KIT: "Kit vidéo",
    DeviceKind.ROBOT_KIT: "Kit robotique",
    DeviceKind.ACCESSORY: "Accessoire",
}

PLATFORMS: dict[Platform, str] = {
    Platform.LINUX: "Linux",
    Platform.WINDOWS: "Windows",
    Platform.IPADOS: "iPadOS",
    Platform.ANDROID: "Android",
    Platform.NONE: "sans logiciel",
}

STATUSES: dict[DeviceStatus, str] = {
    DeviceStatus.IN_STOCK: "En stock",
    DeviceStatus.STAGED: "En préparation",
    DeviceStatus.ACTIVE: "En service",
    DeviceStatus.FAILED: "En panne",
    DeviceStatus.LOST: "Perdu",
    DeviceStatus.RETIRED: "Réformé",
}

EVENTS: dict[str, str] = {
    "registered": "Inscrit à l’inventaire",
    "edited": "Fiche modifiée",
    "moved": "Changé d’école",
    "arrived": "Arrivé dans l’école",
    "status": "Changé d’état",
    "enrolled": "Enrôlé",
    "enrolled_again": "Enrôlement répété",
    "adopted": "Revenu après remise à zéro",
    "profile_issued": "Profil émis",
    "configured": "Réglage propre changé",
    "ready": "Configuration appliquée",
    "repaired": "Réparé",
    "failed": "Réglage en échec",
    "silent": "Devenu silencieux",
    "back": "De retour",
    "enrollment_refused": "Enrôlement refusé",
    "credential_refused": "Ancien secret présenté",
}
"""Kind of event -> words. A kind that is not here is shown as it is."""
