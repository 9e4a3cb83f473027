//! The body of an upload, described in the OpenAPI document and only opened here: the operation reads it, because it
//! knows the directories, the limits and when to stop.

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use crate::files::upload::{Upload, UploadError};

/// Names in the document.
const NAME: &str = "UploadForm";
const SERVICE_NAME: &str = "ServiceUploadForm";
const CONTENT_TYPE: &str = "multipart/form-data";

/// The same where the address of the call names the service.
pub struct ServiceForm(pub UploadForm);

/// The open body with its content type.
pub struct UploadForm {
    pub content_type: String,
    pub body: poem::Body,
}

impl UploadForm {
    /// The body as an upload of at most `limit` bytes.
    ///
    /// # Errors
    /// The content type is another one.
    pub fn open(self, limit: u64) -> Result<Upload, UploadError> {
        Upload::new(&self.content_type, Box::pin(self.body.into_bytes_stream()), limit)
    }
}

fn text(kind: &'static str, format: Option<&'static str>, description: &'static str) -> MetaSchemaRef {
    let schema = match format {
        Some(format) => MetaSchema::new_with_format(kind, format),
        None => MetaSchema::new(kind),
    };
    MetaSchemaRef::Inline(Box::new(MetaSchema { description: Some(description), ..schema }))
}

fn schema() -> MetaSchema {
    let file = MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "binary")));
    let files = MetaSchema {
        description: Some(
            "The job's files, the part repeated for each; one is named run.sh, unless the service has a script of its own. \
             A file name may have sub-paths.",
        ),
        items: Some(Box::new(file)),
        ..MetaSchema::new("array")
    };
    let properties = vec![
        ("file", MetaSchemaRef::Inline(Box::new(files))),
        ("user_id", text("integer", Some("int64"), "The user the job belongs to, -2^31 to 2^53-1.")),
        ("service", text("string", None, "A configured service.")),
        (
            "slots",
            text("integer", Some("int32"), "Slots of one client that the job takes while it runs; 1 by default."),
        ),
        (
            "priority",
            text("integer", Some("int32"), "-100 to 100, higher first among the user's own jobs; 0 by default."),
        ),
        ("requires", text("string", None, "Tests on a client's labels, with commas: `gpu,memory_gb>=16,arch=arm64`.")),
        ("labels", text("string", None, "The caller's own labels, with commas: `project=a,run=7`.")),
        (
            "walltime",
            text(
                "integer",
                Some("int32"),
                "Seconds that run.sh may run, at most the service's own; it is Failed then.",
            ),
        ),
        (
            "idempotency_key",
            text(
                "string",
                None,
                "The caller's own name for this hand-in, 1 to 128 printable characters: a repeat with the same content is \
                 answered with the same job, one with other content is refused. Unique per user and service.",
            ),
        ),
    ];
    MetaSchema { required: vec!["file", "user_id", "service"], properties, ..MetaSchema::new("object") }
}

/// Without the service; a job of one that has a script of its own may have no file.
fn service_schema() -> MetaSchema {
    let MetaSchema { mut properties, .. } = schema();
    properties.retain(|(name, _)| *name != "service");
    MetaSchema { required: vec!["user_id"], properties, ..MetaSchema::new("object") }
}

/// Owns a schema's name in the registry, and makes an extractor of what has it.
macro_rules! form {
    ($form:ty, $owner:ident, $name:ident, $schema:path, $open:expr) => {
        struct $owner;

        impl Type for $owner {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Reference($name.to_owned())
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::empty())
            }
        }

        impl<'a> ApiExtractor<'a> for $form {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                registry.create_schema::<$owner, _>($name.to_owned(), |_| $schema());
            }

            fn request_meta() -> Option<MetaRequest> {
                Some(MetaRequest {
                    description: None,
                    content: vec![MetaMediaType {
                        content_type: CONTENT_TYPE,
                        schema: MetaSchemaRef::Reference($name.to_owned()),
                    }],
                    required: true,
                })
            }

            async fn from_request(
                request: &'a Request,
                body: &mut RequestBody,
                _: ExtractParamOptions<()>,
            ) -> poem::Result<Self> {
                let content_type = request.content_type().unwrap_or_default().to_owned();
                Ok($open(UploadForm { content_type, body: body.take()? }))
            }
        }
    };
}

form!(UploadForm, UploadFormSchema, NAME, schema, std::convert::identity);
form!(ServiceForm, ServiceFormSchema, SERVICE_NAME, service_schema, ServiceForm);
