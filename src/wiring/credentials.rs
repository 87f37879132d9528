//! What the configuration says of credentials, in the words of their adapter.

use crate::adapters::credentials as adapter;
use crate::adapters::credentials::{
    CALL_MAX_DEFAULT, Command, CredentialConfig, OAuth, Secret, ServiceAccount, ServiceAccountKey,
};
use crate::config::{self, ClientAuth, CredentialSource, Encoding, Grant, OAuthConfig};
use crate::fault::Fault;

/// The credential of a provider; none where it asks for nothing.
pub(super) fn of(source: &CredentialSource) -> Result<Option<CredentialConfig>, Fault> {
    Ok(Some(match source {
        CredentialSource::None => return Ok(None),
        CredentialSource::Key(key) => CredentialConfig::Key(secret(key)),
        CredentialSource::File(path) => CredentialConfig::File(path.clone()),
        CredentialSource::Command { program, arguments, time_max, ttl } => {
            CredentialConfig::Command(Command {
                program: program.clone(),
                arguments: arguments.iter().map(Into::into).collect(),
                time_max: *time_max,
                ttl: Some(*ttl),
            })
        }
        CredentialSource::OAuth(oauth) => {
            let client = client(oauth);
            match (oauth.grant, &oauth.refresh_token) {
                (Grant::RefreshToken, Some(token)) => CredentialConfig::RefreshToken(client, secret(token)),
                _ => CredentialConfig::ClientCredentials(client),
            }
        }
        CredentialSource::Azure { tenant_id, client_id, client_secret, authority } => {
            let client = OAuth::azure(tenant_id, client_id, secret(client_secret), authority.as_deref())?;
            CredentialConfig::ClientCredentials(client)
        }
        CredentialSource::Google { file, scope } => CredentialConfig::GoogleServiceAccount(ServiceAccount {
            key: ServiceAccountKey::File(file.clone()),
            scope: scope.clone(),
            call_max: CALL_MAX_DEFAULT,
        }),
    }))
}

fn client(oauth: &OAuthConfig) -> OAuth {
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    OAuth {
        scope: given(&oauth.scope),
        audience: given(&oauth.audience),
        encoding: match oauth.encoding {
            Encoding::Form => adapter::Encoding::Form,
            Encoding::Json => adapter::Encoding::Json,
        },
        client_auth: match oauth.client_auth {
            ClientAuth::Basic => adapter::ClientAuth::Basic,
            ClientAuth::Body => adapter::ClientAuth::Body,
        },
        ..OAuth::new(&oauth.token_url, &oauth.client_id, oauth.client_secret.as_ref().map(secret))
    }
}

fn secret(secret: &config::Secret) -> Secret {
    Secret::new(secret.expose())
}
