"""A broker that speaks TLS alone, and lets in whom it knows by a certificate."""

import subprocess

from world import *

PORT = 8883


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], cwd=f"{FOLDER}/tls", check=True, capture_output=True)


def certificates():
    """An authority of our own; a broker and a gateway that it vouches for; and another authority."""
    os.mkdir(f"{FOLDER}/tls")
    for name in ["ca", "stranger"]:
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2", "-subj", f"/CN={name}")
    write("tls/san", f"subjectAltName=IP:{BROKER},DNS:localhost\n")
    for name in ["broker", "gateway"]:
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.crt", "-days", "2", "-extfile", "san")


def check():
    certificates()
    at = f"{FOLDER}/tls"
    write("tls.conf", f"user root\nlistener {PORT} {BROKER}\nallow_anonymous true\npersistence false\ncafile {at}/ca.crt\ncertfile {at}/broker.crt\n"
                      f"keyfile {at}/broker.key\nrequire_certificate true\n")
    broker = start("mosquitto-tls", "mosquitto", "-c", f"{FOLDER}/tls.conf")
    ours = ["--ca-file", f"{at}/ca.crt", "--certificate", f"{at}/gateway.crt", "--private-key", f"{at}/gateway.key"]

    def retained(topic):
        done = subprocess.run(
            ["mosquitto_sub", "-h", BROKER, "-p", str(PORT), "--cafile", f"{at}/ca.crt", "--cert", f"{at}/gateway.crt", "--key", f"{at}/gateway.key",
             "-t", topic, "-C", "1", "-W", "1"], capture_output=True, text=True)
        return done.stdout.strip()
    for version in ["3", "5"]:
        for name, options, why in [
                ("unknown", ["--ca-file", f"{at}/stranger.crt", *ours[2:]], "UnknownIssuer"),
                ("unproved", ours[:2], "CertificateRequired"),
                ("known", ours, None)]:
            cluster = f"{name}{version}"
            gateway = start(cluster, SPORE, "-v", "gateway", "--bind", address(8), "--forget", "--cluster", cluster, "--mqtt", version, "--no-mdns",
                            "--broker", f"mqtts://{BROKER}", *options)

            def log():
                with open(f"{FOLDER}/{cluster}.log") as file:
                    return file.read()
            if why:
                until(lambda: why in log(), SLOW, f"a refusal of {cluster}: {why}")
            else:
                until(lambda: retained(f"spore/{cluster}/gateway") == "online", SLOW, "a gateway by TLS")
            kill(gateway, signal.SIGINT)
            if why:
                assert retained(f"spore/{cluster}/gateway") == "", cluster
            else:
                # Its client has but a second each time.
                until(lambda: retained(f"spore/{cluster}/gateway") == "offline", SLOW, "its farewell")
    kill(broker)
    spore("gateway", "--bind", address(8), "--broker", f"mqtts://{BROKER}", "--ca-file", f"{at}/ca.key", code=1)
    spore("gateway", "--bind", address(8), "--broker", BROKER, "--ca-file", f"{at}/ca.crt", code=2)
    print("TLS: a broker of a known authority is spoken to, MQTT 3.1.1 and 5, with a certificate of ours; one of another is not")
