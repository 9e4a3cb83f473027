//! What became of the attempts of one call, and the error that this makes of its last one.
//!
//! The SDK reports the last attempt only. If an earlier one was sent and not answered, that is what the caller must know.

use std::error::Error;
use std::fmt;
use std::iter::successors;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::config::interceptors::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef, InterceptorContext,
};
use aws_sdk_ec2::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use aws_sdk_ec2::operation::run_instances::RunInstancesError;
use hyper_util::client::legacy::Error as HttpError;

use crate::codes::{is_no_capacity, meaning};
use crate::error::{CallError, Said};

/// Watches one call whose own errors are `E`.
pub struct Watch<E> {
    seen: Arc<Seen>,
    errors: PhantomData<fn() -> E>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The attempt of now has gone out, or is just going.
    is_under_way: AtomicBool,
    /// Some attempt may have been heard, and nobody knows what became of it.
    is_in_doubt: AtomicBool,
}

impl<E> Watch<E>
where
    E: Error + ProvideErrorMetadata + RequestId + Send + Sync + 'static,
{
    pub fn new() -> Self {
        Self { seen: Arc::default(), errors: PhantomData }
    }

    /// To be given to the call.
    pub fn interceptor(&self) -> Self {
        Self { seen: Arc::clone(&self.seen), errors: PhantomData }
    }

    /// The error of the call, from that of its last attempt and what is known of those before.
    pub fn error(&self, operation: &'static str, error: &SdkError<E>) -> CallError {
        let said = error.as_service_error().and_then(|refusal| said(operation, refusal));
        let why = said.as_ref().map_or_else(|| words(error), ToString::to_string);
        if self.seen.is_in_doubt.load(Ordering::Relaxed) {
            return CallError::Unanswered { operation, why };
        }
        if let Some(said) = said {
            let status = error.raw_response().map_or(0, |response| response.status().as_u16());
            let meaning = meaning(Some(&said.code), status);
            return meaning.map_or(CallError::Unanswered { operation, why }, |kind| kind(said));
        }
        if causes(error).any(<dyn Error>::is::<CredentialsError>) {
            return CallError::NoCredentials { operation, why };
        }
        CallError::Unreachable { operation, why }
    }

    /// Whether it is known what became of the attempt that ended like this.
    fn is_settled(context: &FinalizerInterceptorContextRef<'_>) -> bool {
        let Some(Err(error)) = context.output_or_error() else { return context.output_or_error().is_some() };
        if let Some(connector) = error.as_connector_error() {
            return causes(connector).filter_map(<dyn Error>::downcast_ref::<HttpError>).any(HttpError::is_connect);
        }
        let refusal = error.as_operation_error().and_then(|error| error.downcast_ref::<E>());
        let status = context.response().map_or(0, |response| response.status().as_u16());
        refusal.is_some_and(|error| meaning(error.code(), status).is_some())
    }
}

impl<E> Intercept for Watch<E>
where
    E: Error + ProvideErrorMetadata + RequestId + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        "Watch"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.seen.is_under_way.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // An attempt that failed before, for want of credentials, was not sent.
        if self.seen.is_under_way.swap(false, Ordering::Relaxed) && !Self::is_settled(context) {
            self.seen.is_in_doubt.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl<E> fmt::Debug for Watch<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seen.fmt(f)
    }
}

/// A lack of capacity is not asked about again: it comes with status 500, which the SDK would repeat, and the caller has
/// other types and zones to try.
#[derive(Debug)]
pub struct NoRepeatWithoutCapacity;

impl ClassifyRetry for NoRepeatWithoutCapacity {
    fn name(&self) -> &'static str {
        "NoRepeatWithoutCapacity"
    }

    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(Result::err);
        let refusal = error.and_then(|error| error.as_operation_error()?.downcast_ref::<RunInstancesError>());
        if refusal.and_then(ProvideErrorMetadata::code).is_some_and(is_no_capacity) {
            RetryAction::RetryForbidden
        } else {
            RetryAction::NoActionIndicated
        }
    }
}

/// What AWS answered; nothing if the answer has no code, and so is not AWS's.
fn said<E: ProvideErrorMetadata + RequestId>(operation: &'static str, refusal: &E) -> Option<Said> {
    Some(Said {
        operation,
        code: refusal.code()?.to_owned(),
        message: refusal.message().unwrap_or("no message").to_owned(),
        request_id: refusal.request_id().map(str::to_owned),
    })
}

/// The error and its causes, from the outermost to the innermost.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |error| (**error).source())
}

fn words(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
