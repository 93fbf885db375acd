"""By what an application's ID tokens are signed: those that are there keep ES256, new ones have RS256 where they do not say."""

from django.db import migrations, models

ALGORITHMS = [("RS256", "Rs256"), ("ES256", "Es256")]


class Migration(migrations.Migration):
    dependencies = [("identity", "0030_signing_algorithms"), ("oauth", "0003_applications")]

    operations = [
        migrations.AddField(
            model_name="application",
            name="id_token_signed_response_alg",
            field=models.CharField(choices=ALGORITHMS, db_default="ES256", default="RS256", max_length=5),
        ),
        migrations.AlterField(
            model_name="application",
            name="id_token_signed_response_alg",
            field=models.CharField(choices=ALGORITHMS, db_default="RS256", default="RS256", max_length=5),
        ),
        migrations.AddConstraint(
            model_name="application",
            constraint=models.CheckConstraint(
                condition=models.Q(id_token_signed_response_alg__in=["RS256", "ES256"]),
                name="oauth_application_id_token_algorithm_known",
                violation_error_message="ID tokens are signed by RS256 or ES256.",
            ),
        ),
    ]
