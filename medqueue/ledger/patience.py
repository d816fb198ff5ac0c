"""Patience: how long the system waits for a study of this sender and these modalities."""

from collections.abc import Collection
from dataclasses import dataclass, field

from medqueue.settings import Settings

_ANY = "*"


@dataclass(frozen=True, slots=True)
class Patience:
    """The waiting times of a site, in seconds."""

    quiet_seconds: float
    """Of everybody without a quiet time of their own."""
    longest_wait_seconds: float
    """From the last object on, when something speaks for missing ones."""
    quiet_times: dict[tuple[str, str], float] = field(default_factory=dict)
    """By calling AE and modality; `*` stands for any."""
    whole_study_aes: frozenset[str] = frozenset()
    """Senders that send each study whole in one association."""

    @property
    def shortest(self) -> float:
        """No study is quiet sooner."""
        return min([self.quiet_seconds, *self.quiet_times.values()])

    @property
    def longest(self) -> float:
        """No study waits longer for its next object."""
        return max([self.longest_wait_seconds, self.quiet_seconds, *self.quiet_times.values()])

    def quiet_of(self, calling_ae: str | None, modalities: Collection[str | None]) -> float:
        """Return the quiet time of a study: the longest that one of its modalities has."""
        return max(self._quiet(calling_ae or "", modality or "") for modality in modalities)

    def _quiet(self, calling_ae: str, modality: str) -> float:
        for key in ((calling_ae, modality), (calling_ae, _ANY), (_ANY, modality)):
            if key in self.quiet_times:
                return self.quiet_times[key]
        return self.quiet_seconds


def read_patience(settings: Settings) -> Patience:
    """Read the waiting times of the settings, which have checked their form."""
    return Patience(
        quiet_seconds=settings.study_quiet_seconds,
        longest_wait_seconds=settings.study_longest_wait_seconds,
        quiet_times=dict(_entry(text) for text in _entries(settings.study_quiet_times)),
        whole_study_aes=frozenset(_entries(settings.whole_study_aes)),
    )


def _entries(text: str | None) -> list[str]:
    return [entry.strip() for entry in (text or "").split(",") if entry.strip()]


def _entry(text: str) -> tuple[tuple[str, str], float]:
    sender, _, seconds = text.rpartition("=")
    calling_ae, slash, modality = sender.rpartition("/")
    key = (calling_ae, modality.upper()) if slash else (sender, _ANY)
    return key, float(seconds)
