{{/*
waitgate.initContainer: one item for a Pod's initContainers.

    initContainers:
      {{- include "waitgate.initContainer" (dict "root" $) | nindent 8 }}

The keys of the dict:
  root  your chart's $. The defaults are in its .Values.waitgate.
Every key of values.yaml is allowed too, and wins over .Values.waitgate. Two maps become one, key by key, one level
deep. A list takes the place of the other.
*/}}
{{- define "waitgate.initContainer" -}}
{{- if not (and (kindIs "map" .) (hasKey . "root")) -}}
{{- fail "waitgate.initContainer: no root (expected: include \"waitgate.initContainer\" (dict \"root\" $))" -}}
{{- end -}}
{{- if not .root.Values.waitgate -}}
{{- fail "waitgate.initContainer: there is no .Values.waitgate (expected the dependency waitgate without an alias in this chart's Chart.yaml)" -}}
{{- end -}}
{{- $settings := deepCopy .root.Values.waitgate -}}
{{- $known := list "name" "image" "targets" "options" "env" "envFrom" "volumeMounts" "resources" "securityContext" -}}
{{- /* sprig's merge would take a false or an empty value for one that is not there. */ -}}
{{- range $key, $value := omit . "root" -}}
{{- if not (has $key $known) -}}
{{- fail (printf "waitgate.initContainer: unknown key %s (expected root, %s)" $key (join ", " $known)) -}}
{{- end -}}
{{- if and (kindIs "map" $value) (kindIs "map" (get $settings $key)) -}}
{{- $merged := get $settings $key -}}
{{- range $inner, $setting := $value -}}
{{- $_ := set $merged $inner $setting -}}
{{- end -}}
{{- else -}}
{{- $_ := set $settings $key $value -}}
{{- end -}}
{{- end -}}
{{- if not (kindIs "slice" ($settings.targets | default list)) -}}
{{- fail "waitgate.initContainer: targets is no list (expected a list such as: - tcp:db:5432)" -}}
{{- end -}}
{{- /* WAITGATE_TARGETS may be among the variables. */ -}}
{{- if not (or $settings.targets $settings.env $settings.envFrom) -}}
{{- fail "waitgate.initContainer: no target (expected a list in targets, such as: - tcp:db:5432)" -}}
{{- end -}}
- name: {{ $settings.name | quote }}
  image: {{ include "waitgate.image" $settings.image | quote }}
  imagePullPolicy: {{ $settings.image.pullPolicy | quote }}
  args:
    {{- range $name, $value := $settings.options }}
    {{- if kindIs "bool" $value }}
    {{- if $value }}
    - {{ printf "--%s" $name | quote }}
    {{- end }}
    {{- else if not (kindIs "invalid" $value) }}
    - {{ printf "--%s=%s" $name (toString $value) | quote }}
    {{- end }}
    {{- end }}
    {{- range $target := $settings.targets }}
    {{- if not (kindIs "string" $target) }}
    {{- fail (printf "waitgate.initContainer: a target is no text, but a %s (expected quotes round a target with \": \" in it)" (kindOf $target)) }}
    {{- end }}
    - {{ $target | quote }}
    {{- end }}
  {{- with $settings.env }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $settings.envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $settings.volumeMounts }}
  volumeMounts:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $settings.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $settings.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/*
waitgate.image: REGISTRY/REPOSITORY:TAG@DIGEST from the map `image`.
*/}}
{{- define "waitgate.image" -}}
{{- if not (or .tag .digest) -}}
{{- fail "waitgate.image: no tag and no digest: Kubernetes would take the tag latest (expected image.tag or image.digest)" -}}
{{- end -}}
{{- with .registry }}{{ . }}/{{ end -}}
{{- .repository -}}
{{- with .tag }}:{{ . }}{{ end -}}
{{- with .digest }}@{{ . }}{{ end -}}
{{- end -}}
