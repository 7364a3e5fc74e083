"""Checks Kubernetes manifests: the schemas of the API, and what a schema cannot see.

    manifests.py FILE…                      prints a line a mistake; exit code 1 if there is one
    manifests.py --self-test FILE…          breaks each file in several ways, each of which must be found
    manifests.py --extract FILE MAP KEY     prints one value of a ConfigMap
    manifests.py --same FILE FILE           exit code 1 unless two YAML files say the same
"""

import re
import sys

import kubernetes_validate
import yaml

# The first release in which native sidecars are on by default, and the newest one whose schemas are known.
RELEASES = ["1.29", "1.37"]

QUANTITY = re.compile(r"^[0-9]+(\.[0-9]+)?(m|k|Ki|[MGTPE]i?)?$")
DURATION = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


class StrictLoader(yaml.SafeLoader):
    """A loader that refuses a key given twice; the plain one keeps the last."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1 and key != "<<":
                raise yaml.MarkedYAMLError(problem=f"key {key!r} is given twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def documents(path):
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.load_all(file, StrictLoader) if document is not None]


def name(document):
    return f"{document.get('kind')}/{document.get('metadata', {}).get('name')}"


def schema_mistakes(document):
    for release in RELEASES:
        try:
            kubernetes_validate.validate(document, release, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            yield f"Kubernetes {release}: {path}: {error.message}"
        except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.InvalidSchemaError) as error:
            yield f"Kubernetes {release}: {error.message}"


def quantities(node):
    """Every amount of a resource, wherever it is asked for."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("limits", "requests") and isinstance(value, dict):
                yield from value.values()
            else:
                yield from quantities(value)
    elif isinstance(node, list):
        for value in node:
            yield from quantities(value)


def containers(workload):
    pod = workload["spec"]["template"]["spec"]
    return pod.get("initContainers", []) + pod["containers"]


def container_mistakes(workload, container):
    """Names that a container refers to, and what is asked of each one here."""
    who = container.get("name")
    ports = [port.get("name") for port in container.get("ports", [])]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        port = container.get(probe, {}).get("httpGet", {}).get("port")
        if isinstance(port, str) and port not in ports:
            yield f"{who}: {probe} asks port {port!r}, which the container does not have"
    pod = workload["spec"]["template"]["spec"]
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    volumes |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
    for mount in container.get("volumeMounts", []):
        if mount["name"] not in volumes:
            yield f"{who}: mounts {mount['name']!r}, which is no volume of the pod"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield f"{who}: has no memory limit"
    security = container.get("securityContext", {})
    if not security.get("readOnlyRootFilesystem") or security.get("allowPrivilegeEscalation") is not False:
        yield f"{who}: may write to its image or gain privileges"


def workload_mistakes(workload, names):
    spec, template = workload["spec"], workload["spec"]["template"]
    pod = template["spec"]
    labels = template["metadata"]["labels"].items()
    if not spec["selector"]["matchLabels"].items() <= labels:
        yield "the selector does not match the pods' labels"
    if not pod.get("securityContext", {}).get("runAsNonRoot"):
        yield "runs as root"
    references = [f"ConfigMap/{v['configMap']['name']}" for v in pod.get("volumes", []) if "configMap" in v]
    references += [f"Service/{spec['serviceName']}"] if "serviceName" in spec else []
    references += [f"ServiceAccount/{pod['serviceAccountName']}"] if "serviceAccountName" in pod else []
    for reference in references:
        if reference not in names:
            yield f"refers to {reference}, which is not in the file"
    for container in containers(workload):
        yield from container_mistakes(workload, container)


def seconds(text):
    number, unit = re.fullmatch(r"([0-9.]+)(ms|s|m|h)", str(text)).groups()
    return float(number) * DURATION[unit]


def grace_mistakes(workload, maps):
    """The pod must live longer than spillway takes to stop."""
    needed = 0
    for value in maps.values():
        config = yaml.load(value, StrictLoader)
        if "targets" in config:  # spillway's, not a collector's
            shutdown = config.get("shutdown", {})
            needed = max(needed, seconds(shutdown.get("timeout", "20s")) + seconds(shutdown.get("linger", "5s")))
    grace = workload["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30)
    if grace <= needed:
        yield f"is killed after {grace}s, but spillway may take {needed:g}s to stop"


def mistakes(docs):
    """Everything wrong with the documents of one file."""
    misshapen = [f"{name(document)}: {mistake}" for document in docs for mistake in schema_mistakes(document)]
    yield from misshapen
    if misshapen:
        return  # what follows relies on the shape
    names = [name(document) for document in docs]
    workloads = [d for d in docs if d["kind"] in ("StatefulSet", "Deployment", "DaemonSet")]
    maps = {k: v for d in docs if d["kind"] == "ConfigMap" for k, v in d["data"].items() if k.endswith(".yaml")}
    for document in docs:
        for quantity in quantities(document):
            if not QUANTITY.match(str(quantity)):
                yield f"{name(document)}: {quantity!r} is no quantity"
    for workload in workloads:
        for mistake in (*workload_mistakes(workload, names), *grace_mistakes(workload, maps)):
            yield f"{name(workload)}: {mistake}"
    for document in docs:
        selector = document.get("spec", {}).get("selector")
        if document["kind"] not in ("Service", "PodDisruptionBudget"):
            continue
        wanted = selector.get("matchLabels", selector).items()
        matched = [w for w in workloads if wanted <= w["spec"]["template"]["metadata"]["labels"].items()]
        if not matched:
            yield f"{name(document)}: selects no pod of this file"
        ports = {p.get("name") for w in matched for c in containers(w) for p in c.get("ports", [])}
        for port in document["spec"].get("ports", []):
            if isinstance(port.get("targetPort"), str) and port["targetPort"] not in ports:
                yield f"{name(document)}: targetPort {port['targetPort']!r} is no port of its pods"


def self_test(path):
    """Each of these ways to break a manifest must be found."""

    def pod(w):
        return w["spec"]["template"]["spec"]

    breakages = {
        "a misspelled field": lambda w: containers(w)[0].update(livenesProbe=containers(w)[0].pop("livenessProbe")),
        "a misspelled field of the pod": lambda w: pod(w).update(terminationGracePeriodSecond=45),
        "a wrong type": lambda w: w["spec"].update(replicas="two"),
        "an impossible quantity": lambda w: containers(w)[0]["resources"]["limits"].update(memory="512Mo"),
        "a required field that is missing": lambda w: w["spec"].pop("selector"),
        "a port that is not there": lambda w: containers(w)[0]["readinessProbe"]["httpGet"].update(port="amdin"),
        "a volume that is not there": lambda w: containers(w)[0]["volumeMounts"][1].update(name="que"),
        "labels that do not match": lambda w: w["spec"]["template"]["metadata"].update(labels={"app": "other"}),
        "too short a grace period": lambda w: pod(w).update(terminationGracePeriodSeconds=20),
        "no memory limit": lambda w: containers(w)[0]["resources"].pop("limits"),
    }
    if list(mistakes(documents(path))):
        yield "it is broken to begin with"
        return
    for what, breakage in breakages.items():
        docs = documents(path)
        breakage(next(d for d in docs if d["kind"] == "StatefulSet"))
        if not list(mistakes(docs)):
            yield f"{what} went unnoticed"
    try:
        yaml.load("key: 1\nkey: 2", StrictLoader)
        yield "a key given twice went unnoticed"
    except yaml.MarkedYAMLError:
        pass


def main(arguments):
    if arguments[0] == "--extract":
        path, config_map, key = arguments[1:]
        print(next(d for d in documents(path) if name(d) == f"ConfigMap/{config_map}")["data"][key], end="")
        return 0
    if arguments[0] == "--same":
        return int(documents(arguments[1]) != documents(arguments[2]))
    check = self_test if arguments[0] == "--self-test" else lambda path: mistakes(documents(path))
    found = [f"{path}: {m}" for path in arguments if not path.startswith("--") for m in check(path)]
    print("\n".join(found), end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
