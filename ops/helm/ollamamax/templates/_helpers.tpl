{{- define "ollamamax.labels" -}}
app.kubernetes.io/name: ollamamax
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "ollamamax.image" -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* Settings that all processes of the control plane share. .root, .process */}}
{{- define "ollamamax.env" -}}
- {name: HOST, value: "0.0.0.0"}
- {name: PORT, value: "8000"}
- {name: OLLAMAMAX_GATEWAY_PORT, value: "8001"}
- {name: OLLAMAMAX_HOME, value: /data}
- {name: OLLAMAMAX_PUBLIC_URL, value: {{ .root.Values.publicUrl | quote }}}
- {name: OLLAMAMAX_REGION, value: {{ .root.Values.region | quote }}}
- {name: OLLAMAMAX_METRICS_FOLDER, value: /tmp/metrics}
{{- if or (eq .process "controller") (eq .process "batches") }}
# Pods that serve nothing else give their metrics on a port of their own; the token is in the Secret.
- {name: OLLAMAMAX_METRICS_ADDRESS, value: "0.0.0.0:9464"}
{{- end }}
{{- if .root.Values.podTlsSecret }}
- {name: OLLAMAMAX_TLS_CERT, value: /etc/ollamamax/pod-tls/tls.crt}
- {name: OLLAMAMAX_TLS_KEY, value: /etc/ollamamax/pod-tls/tls.key}
{{- else }}
- {name: OLLAMAMAX_TLS_PROXY, value: "1"}
{{- with .root.Values.ingress.proxyAddresses }}
- {name: OLLAMAMAX_PROXY_ADDRESSES, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- range $name, $value := .root.Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "ollamamax.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .data }}
- {name: data, mountPath: /data}
{{- else }}
- {name: home, mountPath: /data}
{{- end }}
{{- if .root.Values.storesCaSecret }}
- {name: stores-ca, mountPath: /etc/ollamamax/tls, readOnly: true}
{{- end }}
{{- if .root.Values.podTlsSecret }}
- {name: pod-tls, mountPath: /etc/ollamamax/pod-tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "ollamamax.volumes" -}}
- {name: tmp, emptyDir: {}}
{{- if .data }}
- name: data
  persistentVolumeClaim: {claimName: {{ .root.Values.storage.existingClaim | default (printf "%s-data" .root.Release.Name) }}}
{{- else }}
- {name: home, emptyDir: {}}
{{- end }}
{{- if .root.Values.storesCaSecret }}
- {name: stores-ca, secret: {secretName: {{ .root.Values.storesCaSecret }}}}
{{- end }}
{{- if .root.Values.podTlsSecret }}
- {name: pod-tls, secret: {secretName: {{ .root.Values.podTlsSecret }}, defaultMode: 0440}}
{{- end }}
{{- end }}

{{- define "ollamamax.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "ollamamax.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* A Deployment of one process. .root, .process, .command, .values, .data (whether it needs the files), .port */}}
{{- define "ollamamax.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .root.Release.Name }}-{{ .process }}
  labels:
    {{- include "ollamamax.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .process }}
spec:
  {{- if not .scaled }}
  replicas: {{ .values.replicas }}
  {{- end }}
  strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  selector:
    matchLabels: {app.kubernetes.io/instance: {{ .root.Release.Name }}, app.kubernetes.io/component: {{ .process }}}
  template:
    metadata:
      labels:
        {{- include "ollamamax.labels" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .process }}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 40
      {{- with .root.Values.imagePullSecrets }}
      imagePullSecrets: {{ toJson . }}
      {{- end }}
      securityContext:
        {{- include "ollamamax.podSecurity" .root | nindent 8 }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {app.kubernetes.io/instance: {{ .root.Release.Name }}, app.kubernetes.io/component: {{ .process }}}
      containers:
        - name: {{ .process }}
          image: {{ include "ollamamax.image" (dict "image" .root.Values.image "root" .root) }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          command: ["ollamamax", {{ .process | quote }}]
          envFrom:
            - secretRef: {name: {{ .root.Values.secret }}}
          env:
            {{- include "ollamamax.env" . | nindent 12 }}
          {{- if .port }}
          ports:
            - {name: http, containerPort: {{ .port }}}
          startupProbe:
            httpGet: {path: /healthz, port: http, scheme: {{ ternary "HTTPS" "HTTP" (ne .root.Values.podTlsSecret "") }}}
            failureThreshold: 60
            periodSeconds: 2
          livenessProbe:
            httpGet: {path: /healthz, port: http, scheme: {{ ternary "HTTPS" "HTTP" (ne .root.Values.podTlsSecret "") }}}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: {path: /readyz, port: http, scheme: {{ ternary "HTTPS" "HTTP" (ne .root.Values.podTlsSecret "") }}}
            periodSeconds: 2
            timeoutSeconds: 2
          # The Service forgets the pod before its process stops to accept.
          lifecycle: {preStop: {exec: {command: ["sleep", "5"]}}}
          {{- else }}
          ports:
            - {name: metrics, containerPort: 9464}
          {{- end }}
          resources: {{ toJson .values.resources }}
          securityContext:
            {{- include "ollamamax.containerSecurity" .root | nindent 12 }}
          volumeMounts:
            {{- include "ollamamax.mounts" . | nindent 12 }}
      volumes:
        {{- include "ollamamax.volumes" . | nindent 8 }}
{{- end }}
