from django.apps import AppConfig


class MeteringConfig(AppConfig):
    name = "ollamamax.metering"
    label = "metering"
