//! What an error of librdkafka or of a broker means for a batch.

#![forbid(unsafe_code)]

use rdkafka::error::RDKafkaErrorCode as Code;

/// What becomes of a message that was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It, or what it was put together with, is more than the broker or the client takes at once.
    TooLarge,
    /// Nothing was stored; another try may help.
    Again,
    /// Whether it was stored is not known.
    Unknown,
    /// Who we are may not do it, or is not known; other credentials may help.
    NotAllowed,
    /// Another try cannot help.
    Never,
}

/// As Kafka's protocol has it: what it calls retriable is tried again; who may not write may once the host has read other credentials.
pub(crate) fn verdict(code: Code) -> Verdict {
    match code {
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => Verdict::TooLarge,
        Code::PurgeInflight | Code::RequestTimedOut | Code::OperationTimedOut | Code::TimedOutQueue => Verdict::Unknown,
        // A topic that nobody has made yet may be made: Kafka calls these retriable, too.
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => Verdict::Again,
        Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::BrokerNotAvailable
        | Code::ReplicaNotAvailable
        | Code::NetworkException
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::KafkaStorageError
        | Code::ThrottlingQuotaExceeded
        // Bytes that were damaged on their way.
        | Code::InvalidMessage => Verdict::Again,
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::DelegationTokenAuthorizationFailed
        | Code::DelegationTokenExpired
        | Code::DelegationTokenNotFound => Verdict::NotAllowed,
        Code::InvalidArgument | Code::UnsupportedFeature | Code::NotImplemented => Verdict::Never,
        // What the broker says of itself is final; what librdkafka says of a connection is not.
        local if (local as i32) < -1 => Verdict::Again,
        _ => Verdict::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_worth_another_try_or_not() {
        for (verdict_of, codes) in [
            (Verdict::TooLarge, &[Code::MessageSizeTooLarge][..]),
            (Verdict::Unknown, &[Code::PurgeInflight, Code::RequestTimedOut]),
            (
                Verdict::Again,
                &[
                    Code::BrokerTransportFailure,
                    Code::AllBrokersDown,
                    Code::Resolve,
                    Code::SSL,
                    Code::MessageTimedOut,
                    Code::PurgeQueue,
                    Code::QueueFull,
                    Code::Fatal,
                    Code::UnknownTopicOrPartition,
                    Code::NotEnoughReplicas,
                    Code::LeaderNotAvailable,
                ],
            ),
            (
                Verdict::NotAllowed,
                &[
                    Code::TopicAuthorizationFailed,
                    Code::ClusterAuthorizationFailed,
                    Code::TransactionalIdAuthorizationFailed,
                    Code::SaslAuthenticationFailed,
                    Code::DelegationTokenExpired,
                    Code::Authentication,
                ],
            ),
            (
                Verdict::Never,
                &[
                    Code::UnsupportedSASLMechanism,
                    Code::InvalidTopic,
                    Code::InvalidRequiredAcks,
                    Code::PolicyViolation,
                    Code::Unknown,
                ],
            ),
        ] {
            for code in codes {
                assert_eq!(verdict(*code), verdict_of, "{code:?}");
            }
        }
    }
}
