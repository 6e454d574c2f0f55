{{- define "agentfleet.name" -}}
{{- .Values.nameOverride | default .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "agentfleet.install" -}}
{{- .Values.install | default .Release.Name -}}
{{- end }}

{{- define "agentfleet.labels" -}}
app.kubernetes.io/part-of: agentfleet
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* (list . "component"): what selects a component's pods. */ -}}
{{- define "agentfleet.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: agentfleet-{{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- end }}

{{- define "agentfleet.image" -}}
{{- $root := index . 0 -}}
{{- $root.Values.image.registry }}agentfleet-{{ index . 1 }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion -}}
{{- end }}

{{- define "agentfleet.redisSecret" -}}
{{- if .Values.redis.secret }}{{ .Values.redis.secret }}
{{- else if .Values.redis.bundled }}{{ include "agentfleet.name" . }}-redis
{{- else }}{{ fail "redis.bundled is off: set redis.secret to a Secret whose key `url` holds the URL of your Redis" }}
{{- end }}
{{- end }}

{{- define "agentfleet.workerAccount" -}}
{{- if .Values.worker.serviceAccountName }}{{ .Values.worker.serviceAccountName }}
{{- else if eq .Values.scope "Namespace" }}{{ include "agentfleet.name" . }}-worker
{{- else }}default
{{- end }}
{{- end }}

{{- define "agentfleet.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "agentfleet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* (list . "component"): what every pod of ours begins with. */ -}}
{{- define "agentfleet.podStart" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
enableServiceLinks: false
securityContext: {{ include "agentfleet.podSecurity" $root | nindent 2 }}
{{- with $root.Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "agentfleet.selector" (list $root (index $ 1)) | nindent 8 }}
  {{- end }}
{{- end }}

{{- /* Where a linter's advice is not followed, on every workload of ours. Images carry a version as their tag, and those
that kind or minikube loaded cannot be pulled; replicas are spread by topologySpreadConstraints, over nodes and zones, and
still start where there is one node; a CPU limit would throttle the renewal of leases. */ -}}
{{- define "agentfleet.exceptions" -}}
kube-score/ignore: container-image-pull-policy,deployment-has-host-podantiaffinity
ignore-check.kube-linter.io/no-anti-affinity: topologySpreadConstraints spread the replicas
ignore-check.kube-linter.io/unset-cpu-requirements: requests are set; a CPU limit would make leases late
{{- end }}

{{- define "agentfleet.commonEnv" -}}
- {name: AGENTFLEET_INSTALL, value: {{ include "agentfleet.install" . | quote }}}
- name: AGENTFLEET_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- {name: AGENTFLEET_REDIS_URL_FILE, value: /var/run/agentfleet/redis/url}
- {name: AGENTFLEET_LOG_FORMAT, value: json}
- {name: AGENTFLEET_HOST, value: 0.0.0.0}
{{- end }}

{{- define "agentfleet.redisVolume" -}}
- name: redis
  secret: {secretName: {{ include "agentfleet.redisSecret" . }}, defaultMode: 0440}
{{- end }}

{{- /* (list . "crd name"): "yes" where this release makes or upgrades it. */ -}}
{{- define "agentfleet.ownsCrd" -}}
{{- $root := index . 0 -}}
{{- $live := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" (index . 1) -}}
{{- $notes := ($live.metadata | default dict).annotations | default dict -}}
{{- $owner := printf "%s/%s" (get $notes "meta.helm.sh/release-namespace") (get $notes "meta.helm.sh/release-name") -}}
{{- if or (not $live) $root.Values.crds.adopt (eq $owner (printf "%s/%s" $root.Release.Namespace $root.Release.Name)) -}}yes{{- end -}}
{{- end }}
