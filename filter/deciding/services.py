"""A catalogue of well-known services, so that a school can block or allow one by its name. Public facts, our own.

Each service is a list of its own category (``service:tiktok``): profiles speak of it as of any category. Domains are
those that the service's pages and applications start from. What several services share (fbcdn.net, googlevideo.com,
akamaihd.net…) is left out: blocking one must not break another, and without its start pages a service does not work.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from filter.deciding.safesearch import WITHOUT_SAFE_SEARCH
from filter.lists.source import ListReport, ListSource
from filter.settings import SERVICE_PREFIX

SOURCE = "Catalogue de Préau"
LICENCE = "EUPL-1.2"


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its French title, the group it is shown in, and its domains with all that is under them."""

    slug: str
    title: str
    group: str
    domains: tuple[str, ...]

    @property
    def category(self) -> str:
        return f"{SERVICE_PREFIX}{self.slug}"


CATALOGUE = """
= Réseaux sociaux
tiktok | TikTok | musical.ly tiktok.com tiktokcdn-eu.com tiktokcdn-us.com tiktokcdn.com tiktokrow-cdn.com
    tiktokv.com tiktokv.eu tiktokw.eu ttlivecdn.com ttwstatic.com
snapchat | Snapchat | bitmoji.com sc-cdn.net sc-gw.com snap.com snapchat.com snapkit.com
instagram | Instagram | cdninstagram.com ig.me instagr.am instagram.com
threads | Threads | threads.com threads.net
facebook | Facebook | facebook.com facebook.net fb.com fb.me fb.watch fbsbx.com
x | X (Twitter) | periscope.tv pscp.tv t.co twimg.com twitter.com x.com
bluesky | Bluesky | bsky.app bsky.network bsky.social
reddit | Reddit | redd.it reddit.com redditmedia.com redditstatic.com
pinterest | Pinterest | pin.it pinimg.com pinterest.com pinterest.fr
tumblr | Tumblr | tumblr.com
bereal | BeReal | bere.al bereal.com bereal.network
ngl | NGL et questions anonymes | ask.fm curiouscat.live getsendit.com ngl.link tellonym.me
yubo | Yubo | twelve-app.com yubo.live yubo.me
linkedin | LinkedIn | licdn.com linkedin.com lnkd.in
onlyfans | OnlyFans et MYM | fansly.com mym.fans onlyfans.com
= Messageries
whatsapp | WhatsApp | wa.me whatsapp.com whatsapp.net
messenger | Messenger | m.me messenger.com
telegram | Telegram | t.me telegra.ph telegram.dog telegram.me telegram.org telesco.pe
signal | Signal | signal.me signal.org whispersystems.org
discord | Discord | discord.com discord.gg discord.gift discord.media discordapp.com discordapp.net
omegle | Tchats avec des inconnus | bazoocam.org camsurf.com chatiw.com chatroulette.com coco.gg emeraldchat.com
    monkey.app ome.tv omegle.com ometv.chat
= Jeux
roblox | Roblox | rbx.com rbxcdn.com roblox.com robloxlabs.com
minecraft | Minecraft | minecraft.net minecraftservices.com mojang.com
epic | Fortnite et Epic Games | epicgames.com epicgames.dev fortnite.com fortnite.gg unrealengine.com
steam | Steam | s.team steamcommunity.com steamcontent.com steamgames.com steampowered.com steamserver.net
    steamstatic.com steamusercontent.com
riot | Riot Games (League of Legends, Valorant) | leagueoflegends.com lolesports.com playvalorant.com riotcdn.net
    riotgames.com
supercell | Supercell (Brawl Stars, Clash Royale) | brawlstars.com brawlstarsgame.com clashofclans.com
    clashroyale.com clashroyaleapp.com supercell.com supercell.net
ea | Electronic Arts | ea.com easports.com origin.com
playstation | PlayStation | playstation.com playstation.net sonyentertainmentnetwork.com
xbox | Xbox | xbox.com xboxlive.com xboxservices.com
nintendo | Nintendo | nintendo-europe.com nintendo.com nintendo.eu nintendo.fr nintendo.net
web-games | Jeux dans le navigateur | 1v1.lol addictinggames.com agar.io armorgames.com coolmathgames.com
    crazygames.com crazygames.fr friv.com itch.io jeux.com jeux.fr jeuxjeuxjeux.fr kizi.com kongregate.com
    krunker.io miniclip.com now.gg poki.com poki.fr silvergames.com slither.io y8.com
= Vidéo
youtube | YouTube | youtu.be youtube-nocookie.com youtube.com youtube.googleapis.com youtubei.googleapis.com
    youtubekids.com yt.be ytimg.com
twitch | Twitch | jtvnw.net ttvnw.net twitch.tv twitchcdn.net twitchsvc.net
kick | Kick | kick.com
dailymotion | Dailymotion | dai.ly dailymotion.com dmcdn.net
netflix | Netflix | netflix.com netflix.net nflxext.com nflximg.com nflximg.net nflxso.net nflxvideo.net
disney-plus | Disney+ | bamgrid.com disney-plus.net disneyplus.com dssedge.com dssott.com
prime-video | Prime Video | aiv-cdn.net aiv-delivery.net amazonvideo.com primevideo.com
canal-plus | Canal+ | canal-plus.com canalplus-cdn.net canalplus.com mycanal.fr
crunchyroll | Crunchyroll et ADN | animationdigitalnetwork.com animationdigitalnetwork.fr crunchyroll.com vrv.co
= Musique
spotify | Spotify | byspotify.com scdn.co spotify.com spotify.link spotifycdn.com
deezer | Deezer | deezer.com dzcdn.net
soundcloud | SoundCloud | snd.sc sndcdn.com soundcloud.com
= Intelligences artificielles
chatgpt | ChatGPT | chatgpt.com oaistatic.com oaiusercontent.com openai.com sora.com
gemini | Gemini | bard.google.com gemini.google.com
copilot | Copilot | copilot.microsoft.com sydney.bing.com
claude | Claude | anthropic.com claude.ai claude.com claudeusercontent.com
mistral | Le Chat (Mistral) | mistral.ai
deepseek | DeepSeek | deepseek.com
grok | Grok | grok.com x.ai
perplexity | Perplexity | perplexity.ai pplx.ai
character-ai | Character.ai et compagnons | c.ai candy.ai chai-research.com character.ai crushon.ai janitorai.com
    polybuzz.ai replika.ai replika.com talkie-ai.com
homework | Devoirs faits par IA | brainly.com brainly.fr chegg.com gauthmath.com nosdevoirs.fr photomath.com
    studocu.com
= Achats
shein | Shein | ltwebstatic.com shein.com shein.fr sheingsp.com
temu | Temu | kwcdn.com temu.com temu.to
aliexpress | AliExpress | aliexpress-media.com aliexpress.com aliexpress.us
vinted | Vinted | vinted.com vinted.fr vinted.net
leboncoin | Leboncoin | leboncoin.com leboncoin.fr
amazon | Amazon (boutique) | amazon.co.uk amazon.com amazon.de amazon.es amazon.fr amazon.it amzn.eu amzn.to
"""
"""``= group``, then ``slug | title | domains``; a line that starts with spaces goes on with the domains."""
UNSAFE_SEARCH = Service(
    "search-unsafe",
    "Moteurs sans recherche sûre",
    "Recherche",
    tuple(sorted(name for names in WITHOUT_SAFE_SEARCH.values() for name in names)),
)


def parse_catalogue(text: str) -> Iterator[Service]:
    """The services of the table, in its order."""
    group = ""
    for line in text.strip().replace("\n    ", " ").splitlines():
        if line.startswith("= "):
            group = line.removeprefix("= ")
            continue
        slug, title, domains = line.split(" | ")
        yield Service(slug, title, group, tuple(domains.split()))


SERVICES: Mapping[str, Service] = {found.slug: found for found in (*parse_catalogue(CATALOGUE), UNSAFE_SEARCH)}
"""Slug -> service."""


def list_sources() -> list[ListSource]:
    """The catalogue as lists, one a service, sorted by slug."""
    return [
        ListSource(
            slug=found.category,
            title=found.title,
            category=found.category,
            read=partial(read_service, found),
            source=SOURCE,
            licence=LICENCE,
        )
        for _, found in sorted(SERVICES.items())
    ]


def read_service(found: Service, report: ListReport) -> Iterator[str]:
    """The domains of one service; each with what is under it."""
    for domain in found.domains:
        report.lines += 1
        report.names += 1
        yield domain
