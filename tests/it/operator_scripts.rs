//! A service whose script is the operator's takes inputs and declared values only, and the script gets them as they were
//! sent.

use domain::JobId;
use serde_json::{Value, json};

use crate::harness::fake::{Fake, Reply};
use crate::harness::predecessor::Predecessor;
use crate::harness::{Bed, ClientNode, Form, ServerNode, command, unzip};

/// What every shell would trip over, if it were ever given the text as code.
const HOSTILE: &str =
    "'\"$(touch pwned)`touch pwned`; ${HOME} %s \\n \\\\ * ~ & | > pwned\r\n\tline 2\n\n 蛋白质 🧬 -n ";

/// A parameter of each type.
const EACH_TYPE: &str = "
count = { type = \"integer\", min = 1, max = 10, default = 3 }
cutoff = { type = \"number\", min = 0.5, max = 10 }
note = { type = \"text\", max_length = 100_000, default = \"\" }
name = { type = \"text\", max_length = 8, pattern = \"[a-z]+\", required = false }
model = { type = \"choice\", choices = [\"small\", \"large\"], default = \"small\" }
fast = { type = \"boolean\", default = false }
structure = { type = \"file\" }
";

/// Says what it was given.
const TELLS: &str = "
printf %s \"$PARAM_NOTE\" > note
printf %s \"$PARAM_COUNT $PARAM_CUTOFF $PARAM_MODEL $PARAM_FAST ${PARAM_NAME-unset}\" > rest
cp -- \"$PARAM_STRUCTURE\" copied
cp \"$ORCHESTRATOR_PARAMETERS\" seen.json
";

fn write_script(bed: &Bed, text: &str) {
    std::fs::write(bed.path().join("fold.sh"), text).unwrap();
}

/// The services `fold`, whose script is the operator's, and `example`, whose users send theirs.
fn config(urls: &[&str], parameters: &str) -> String {
    let clients = format!("clients = {urls:?}");
    format!(
        "[service.example]\n{clients}\n[service.fold]\n{clients}\nrun = \"fold.sh\"\n[service.fold.parameters]\n{parameters}"
    )
}

fn server(bed: &Bed, clients: &[&ClientNode], script: &str, parameters: &str) -> ServerNode {
    write_script(bed, script);
    let urls: Vec<&str> = clients.iter().map(|client| client.url.as_str()).collect();
    bed.server_with(&config(&urls, parameters), &[])
}

fn form() -> Form {
    Form::default().field("user_id", "7").field("service", "fold")
}

/// With all that has no default.
fn whole() -> Form {
    form().file("a b.pdb", "ATOM").field("param.structure", "a b.pdb").field("param.cutoff", "8.5")
}

async fn results(server: &ServerNode, id: JobId) -> std::collections::BTreeMap<String, Vec<u8>> {
    let job = server.ended(id).await;
    assert_eq!(job.status(), "Completed", "{:#}", job.0);
    unzip(&server.download(id).await.body)
}

/// The refusal's mistakes by field and remedy; nothing of the upload is left.
async fn refused(server: &ServerNode, form: Form) -> Vec<(String, String)> {
    let problem = server.upload(form).await.problem(400);
    assert_eq!(problem["code"], "bad-parameters", "{problem:#}");
    let text = |mistake: &Value, key: &str| mistake[key].as_str().unwrap().to_owned();
    let mistakes = problem["mistakes"].as_array().unwrap();
    assert_eq!((&problem["field"], &problem["value"]), (&mistakes[0]["field"], &mistakes[0]["value"]), "{problem:#}");
    assert_eq!(server.get("/api/v1/jobs/1").await.status, 404, "a refused upload became a job");
    server
        .until("nothing of it is left", async || {
            let files = server.files("payloads");
            if files.is_empty() { Ok(()) } else { Err(format!("{files:?}")) }
        })
        .await;
    mistakes.iter().map(|mistake| (text(mistake, "field"), text(mistake, "remedy"))).collect()
}

#[tokio::test]
async fn values_reach_the_script_as_they_were_sent_and_never_as_code() {
    let bed = Bed::new();
    for client in [bed.client("open"), bed.isolated_client("boxed", &[])] {
        let server = server(&bed, &[&client], TELLS, EACH_TYPE);
        let long = format!("{}{HOSTILE}", "ä".repeat((100_000 - HOSTILE.len()) / 2));
        for note in [HOSTILE, &long, ""] {
            let form = whole().field("param.note", note).field("param.count", "10").field("param.fast", "true");
            let id = server.submit(form).await;
            let files = results(&server, id).await;
            assert!(!files.contains_key("pwned"), "{:?}", files.keys());
            assert_eq!(String::from_utf8_lossy(&files["note"]), note);
            assert_eq!(String::from_utf8_lossy(&files["rest"]), "10 8.5 small true unset");
            assert_eq!((files["copied"].as_slice(), files["run.sh"].as_slice()), (&b"ATOM"[..], TELLS.as_bytes()));
            let told = json!({
                "count": 10, "cutoff": 8.5, "note": note, "model": "small", "fast": true, "structure": "a b.pdb",
            });
            for file in ["seen.json", "parameters.json"] {
                assert_eq!(serde_json::from_slice::<Value>(&files[file]).unwrap(), told);
            }
            assert!(!files.contains_key(".orchestrator.skipped"), "{:?}", files.keys());
            assert_eq!(server.job(id).await.0["parameters"], told);
        }
        drop(server);
        std::fs::remove_dir_all(bed.path().join("server")).unwrap();
    }
}

#[tokio::test]
async fn what_is_left_out_is_filled_in() {
    let bed = Bed::new();
    let server = server(&bed, &[], TELLS, EACH_TYPE);
    let id = server.submit(whole().field("param.name", "abc")).await;
    let told = json!({
        "count": 3, "cutoff": 8.5, "note": "", "name": "abc", "model": "small", "fast": false, "structure": "a b.pdb",
    });
    assert_eq!(server.job(id).await.0["parameters"], told);
}

#[tokio::test]
async fn every_mistake_of_an_upload_is_told_at_once_with_its_remedy() {
    let bed = Bed::new();
    let server = server(&bed, &[], TELLS, EACH_TYPE);
    let wrong = form()
        .script("true")
        .file("large", vec![b'x'; 70_000])
        .file("parameters.json", "{}")
        .field("param.cuont", "3")
        .field("param.count", "11")
        .field("param.name", "Abc")
        .field("param.note", &"x".repeat(100_001))
        .field("param.model", "smal")
        .field("param.fast", "1")
        .field("param.structure", "none.pdb");
    let own = "send the inputs only; the script is the operator's, and takes its values as parts named param.NAME";
    let expected = [
        ("file", own),
        ("file", own),
        ("param.cuont", "did you mean count?"),
        ("param.count", "give a whole number from 1 to 10"),
        ("param.cutoff", "give a number from 0.5 to 10"),
        ("param.fast", "give true or false"),
        ("param.model", "did you mean small?"),
        ("param.name", "give a text of at most 8 bytes that is as a whole [a-z]+"),
        ("param.note", "give a text of at most 100000 bytes"),
        ("param.structure", "upload the file under this name, or give the name of one that you upload"),
    ];
    assert_eq!(refused(&server, wrong).await, expected.map(|(field, remedy)| (field.to_owned(), remedy.to_owned())));
}

#[tokio::test]
async fn every_type_holds_its_bounds() {
    let bed = Bed::new();
    let server = server(&bed, &[], TELLS, EACH_TYPE);
    let wrong = [
        ("count", "0"),
        ("count", "1.0"),
        ("count", ""),
        ("note", "a\0b"),
        ("name", "abcdefghi"),
        ("name", ""),
        ("name", "abc\n"),
        ("model", "Small"),
        ("fast", "yes"),
    ];
    for (name, value) in wrong {
        let field = format!("param.{name}");
        let mistakes = refused(&server, whole().field(&field, value)).await;
        assert_eq!(mistakes.iter().map(|(field, _)| field).collect::<Vec<_>>(), [&field], "{value:?}");
    }
    for cutoff in ["0.4999", "10.1", "inf", "NaN", "1e400", "x"] {
        let form = form().file("a.pdb", "").field("param.structure", "a.pdb").field("param.cutoff", cutoff);
        assert_eq!(refused(&server, form).await[0].0, "param.cutoff", "{cutoff}");
    }
    let twice = refused(&server, whole().field("param.count", "1").field("param.count", "1")).await;
    assert_eq!(twice, [("param.count".to_owned(), "give it once".to_owned())]);
    let much = (0..6).fold(whole(), |form, number| form.field(&format!("param.x{number}"), &"x".repeat(100_000)));
    assert_eq!(refused(&server, much).await, [("param.".to_owned(), "send long text as a file".to_owned())]);
    let right = [("count", "1"), ("count", "10"), ("name", "abcdefgh"), ("model", "large"), ("fast", "false")];
    for (name, value) in right {
        server.submit(whole().field(&format!("param.{name}"), value)).await;
    }
}

#[tokio::test]
async fn services_without_a_script_take_no_values_and_run_what_users_send() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = server(&bed, &[&client], TELLS, EACH_TYPE);
    let mistakes = refused(&server, Form::new(7).script("true").field("param.count", "1")).await;
    assert_eq!(mistakes[0].0, "param.count");
    assert_eq!(server.upload(Form::new(7)).await.problem(400)["code"], "no-file");
    let script = "echo ${ORCHESTRATOR_PARAMETERS-unset} ${PARAM_COUNT-unset} > out; cp parameters.json same";
    let own = Form::new(7).script(script).file("parameters.json", "{\"count\": 1}");
    let id = server.submit(own).await;
    let files = results(&server, id).await;
    assert_eq!((files["out"].as_slice(), files["same"].as_slice()), (&b"unset unset\n"[..], &b"{\"count\": 1}"[..]));
    assert_eq!(server.job(id).await.0["parameters"], Value::Null);
    let reserved = server.upload(Form::new(7).script("true").file(".orchestrator.parameters", "{}")).await;
    assert_eq!(reserved.problem(400)["code"], "bad-file-name");
}

#[tokio::test]
async fn script_without_parameters_needs_no_file_and_no_field() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = server(&bed, &[&client], "ls -A > listed", "");
    let id = server.submit(form()).await;
    assert_eq!(results(&server, id).await["listed"], b"listed\nrun.sh\n");
    let mistakes = server.upload(form().field("param.x", "1")).await.problem(400);
    assert_eq!(mistakes["remedy"], "leave it out: the service takes files only");
}

#[tokio::test]
async fn a_job_runs_the_script_that_it_was_accepted_with() {
    let bed = Bed::new();
    let client = bed.client("client");
    let count = "count = { type = \"integer\", default = 1 }";
    let mut server = server(&bed, &[], "echo first $PARAM_COUNT > out", count);
    let keyed = |count: &str| form().field("idempotency_key", "once").field("param.count", count);
    let old = server.submit(keyed("5")).await;
    server.stop();
    write_script(&bed, "echo second $PARAM_COUNT > out");
    let other = "count = { type = \"integer\", default = 2 }";
    std::fs::write(bed.path().join("config.toml"), config(&[&client.url], other)).unwrap();
    server.start();
    write_script(&bed, "echo third $PARAM_COUNT > out");
    assert_eq!(server.submit(keyed("5")).await, old, "the same hand-in, though the script is another by now");
    assert_eq!(server.upload(keyed("6")).await.problem(409)["code"], "idempotency-key-taken");
    let new = server.submit(form()).await;
    assert_eq!(results(&server, old).await["out"], b"first 5\n");
    assert_eq!(results(&server, new).await["out"], b"second 2\n");
}

#[tokio::test]
async fn clients_that_would_drop_the_values_are_not_given_the_job() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "1"]);
    let older = Fake::start(|_| Reply::Healthy);
    write_script(&bed, "echo $PARAM_COUNT > out");
    let count = "count = { type = \"integer\" }";
    let server = bed.server_with(&config(&[&older.url, &client.url], count), &[]);
    let id = server.submit(form().field("param.count", "5")).await;
    assert_eq!(results(&server, id).await["out"], b"5\n");
    assert_eq!(older.times("/submit"), 0);
    drop(server);
    std::fs::remove_dir_all(bed.path().join("server")).unwrap();

    let predecessor = Predecessor::start(bed.path().join("predecessor"));
    let server = bed.server_with(&config(&[&predecessor.base_url], count), &[]);
    let id = server.submit(form().field("param.count", "5")).await;
    let why = "the history says why";
    server
        .until(why, async || {
            let job = server.job(id).await.0;
            let history = job["history"].to_string();
            if history.contains("too old for scripts with parameters") { Ok(()) } else { Err(history) }
        })
        .await;
    assert_eq!(predecessor.submissions(), 0);
}

#[tokio::test]
async fn services_and_the_document_tell_what_a_script_takes() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = server(&bed, &[&client], TELLS, EACH_TYPE);
    let services = server.get("/api/v1/services").await.json();
    let [example, fold] = &services["services"].as_array().unwrap()[..] else { panic!("{services:#}") };
    assert_eq!((&example["name"], &example["script"]), (&json!("example"), &Value::Null));
    let parameters = fold["script"]["parameters"].as_array().unwrap();
    let count = json!({ "name": "count", "type": "integer", "required": false, "default": 3, "min": 1.0, "max": 10.0 });
    assert_eq!(parameters[0], count, "{fold:#}");

    let document = server.get("/openapi.json").await.json();
    let post = &document["paths"]["/api/v1/services/fold/jobs"]["post"];
    assert_eq!((&post["operationId"], &post["parameters"]), (&json!("submit_fold"), &json!([])));
    let form = &document["components"]["schemas"]["UploadForm_fold"];
    assert_eq!(
        post["requestBody"]["content"]["multipart/form-data"]["schema"]["$ref"],
        "#/components/schemas/UploadForm_fold"
    );
    assert_eq!(form["required"], json!(["user_id", "file", "param.cutoff", "param.structure"]));
    assert_eq!(
        form["properties"]["param.model"],
        json!({ "type": "string", "enum": ["small", "large"], "default": "small" })
    );
    assert_eq!(form["properties"]["service"], Value::Null);
    assert!(document["paths"].get("/api/v1/services/example/jobs").is_none());
    let page = String::from_utf8(server.get("/swagger-ui/").await.body).unwrap();
    assert!(page.contains("submit_fold"), "the page does not show the call");

    let whole = Form::default().field("user_id", "7").file("a.pdb", "ATOM").field("param.structure", "a.pdb");
    let answer = server.upload_to("/api/v1/services/fold/jobs", whole.field("param.cutoff", "1")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["service"]), (201, &json!("fold")));
    results(&server, JobId(1)).await;
    let twice = server.upload_to("/api/v1/services/fold/jobs", self::whole()).await.problem(400);
    assert_eq!(twice["field"], "service");
}

#[tokio::test]
async fn commands_send_values_and_tell_which_there_are() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = server(&bed, &[&client], TELLS, EACH_TYPE);
    std::fs::write(bed.path().join("a.pdb"), "ATOM").unwrap();
    let run = |line: &[&str]| {
        let line: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let env = [("ORCHESTRATOR_SERVER".to_owned(), server.url.clone())];
        let output =
            command(&line, &env).current_dir(bed.path()).stdout(std::process::Stdio::piped()).output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), said(&output.stdout), said(&output.stderr))
    };
    let listed = run(&["services"]).1;
    for part in ["example: jobs bring their own run.sh", "--param cutoff=…", "number from 0.5 to 10", "required"] {
        assert!(listed.contains(part), "{part} is not in {listed}");
    }
    let submit =
        ["submit", "a.pdb", "--user", "7", "--service", "fold", "--param", "structure=a.pdb", "--download", "out"];
    let (code, _, said) = run(&[&submit[..], &["--param", "cutoff=8.5", "--param", "note=a=b c"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(std::fs::read_to_string(bed.path().join("out/note")).unwrap(), "a=b c");
    let (code, _, said) = run(&[&submit[..], &["--param", "cutof=8", "--param", "count=0"]].concat());
    assert_eq!(code, Some(1), "{said}");
    for part in ["did you mean cutoff?", "give a whole number from 1 to 10", "param.cutoff"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let help = run(&["submit", "--help"]).1;
    assert!(help.contains("--param <KEY=VALUE>") && help.contains("cutoff=8.5"), "{help}");
    let config = run(&["config", "server", "--config", "config.toml"]).1;
    assert!(config.contains("service.fold.run") && config.contains("(sha256 "), "{config}");
}
