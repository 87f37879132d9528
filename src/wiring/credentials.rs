//! Maps the configuration of credentials to that of their adapter.

use crate::config::{
    self, CredentialSource, OAuthClientAuth, OAuthClientConfig, OAuthGrantType, OAuthRequestEncoding,
};
use contexture_adapters::credentials as adapter;
use contexture_adapters::credentials::{
    CredentialConfig, OAUTH_CALL_MAX_DEFAULT, OAuthClient, SecretText, ServiceAccount, ServiceAccountKey,
    TokenCommand,
};
use contexture_core::fault::Fault;

/// The credential of a provider. None where the provider needs none.
pub(super) fn credential_config(source: &CredentialSource) -> Result<Option<CredentialConfig>, Fault> {
    Ok(Some(match source {
        CredentialSource::None => return Ok(None),
        CredentialSource::Key(key) => CredentialConfig::Key(to_secret(key)),
        CredentialSource::File(path) => CredentialConfig::File(path.clone()),
        CredentialSource::Command { program, arguments, time_max, ttl } => {
            CredentialConfig::Command(TokenCommand {
                program: program.clone(),
                arguments: arguments.iter().map(Into::into).collect(),
                time_max: *time_max,
                ttl: Some(*ttl),
            })
        }
        CredentialSource::OAuth(oauth) => {
            let client = oauth_client(oauth);
            match (oauth.grant, &oauth.refresh_token) {
                (OAuthGrantType::RefreshToken, Some(token)) => {
                    CredentialConfig::RefreshToken(client, to_secret(token))
                }
                // The configuration refuses the grant without its token, so this is the other grant.
                _ => CredentialConfig::ClientCredentials(client),
            }
        }
        CredentialSource::Azure { tenant_id, client_id, client_secret, authority } => {
            let client =
                OAuthClient::azure(tenant_id, client_id, to_secret(client_secret), authority.as_deref())?;
            CredentialConfig::ClientCredentials(client)
        }
        CredentialSource::Google { file, scope } => CredentialConfig::GoogleServiceAccount(ServiceAccount {
            key: ServiceAccountKey::File(file.clone()),
            scope: scope.clone(),
            call_max: OAUTH_CALL_MAX_DEFAULT,
        }),
    }))
}

fn oauth_client(oauth: &OAuthClientConfig) -> OAuthClient {
    // Authorization servers may reject an empty parameter, so an empty setting is not sent.
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    OAuthClient {
        scope: given(&oauth.scope),
        audience: given(&oauth.audience),
        encoding: match oauth.encoding {
            OAuthRequestEncoding::Form => adapter::TokenRequestEncoding::Form,
            OAuthRequestEncoding::Json => adapter::TokenRequestEncoding::Json,
        },
        client_auth: match oauth.client_auth {
            OAuthClientAuth::Basic => adapter::ClientSecretPlacement::Basic,
            OAuthClientAuth::Body => adapter::ClientSecretPlacement::Body,
        },
        ..OAuthClient::new(&oauth.token_url, &oauth.client_id, oauth.client_secret.as_ref().map(to_secret))
    }
}

fn to_secret(secret: &config::ConfigSecret) -> SecretText {
    SecretText::new(secret.expose())
}
