#!/bin/sh
# Deploys an overlay, the first time and again:  k8s/deploy.sh k8s/overlays/dev
#
# A Job's pod template cannot be changed, so the Job of the last deployment goes first; its work, in
# Kafka, stays. KUBECTL is the command to use instead of kubectl, such as "kubectl --context kind-dev".
set -eu
if [ $# -ne 1 ] || [ ! -f "$1/kustomization.yaml" ]; then
  echo "usage: k8s/deploy.sh OVERLAY, a directory with a kustomization.yaml such as k8s/overlays/dev" >&2
  exit 2
fi
kubectl=${KUBECTL:-kubectl}
# Not quoted: it may have arguments.
$kubectl delete --ignore-not-found --selector app.kubernetes.io/component=apply --kustomize "$1"
$kubectl apply --kustomize "$1"
